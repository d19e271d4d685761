"""Lists that a stack file writes as mappings by name, so that its entries are added to the defaults.

A list in a stack file would replace the default list, so adding one service would remove all others. In a
mapping, an entry with the name of a default changes the keys that it gives, an entry with another name is
added, and `null` removes a default or one of a default's keys.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from settings.model import Location, Model, is_dict, is_list, refuse_duplicates, refused

MARK = "x-by-name"
"""Temporary key in the JSON Schema of such a mapping that describes its entries. `schema.py` removes it."""
STACK_FILE = "stack file"
"""Validation context of values from a stack file. The program itself passes lists of models."""
REMOVALS = (None, "null")
"""Values that remove a default. `pulumi config set --path` can only write the string."""

Problems = list[tuple[str, str, Location, Any]]


@dataclass(frozen=True)
class ByName:
    """Annotates a `list[SomeModel]` that a stack file writes as a mapping.

    The list has the defaults first, in their order, and then the additions sorted by name. It doesn't depend
    on the order of the file, because the engine sorts keys.
    """

    key: str
    """The field of the models that becomes the mapping's key."""
    defaults: Sequence[Model]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of a mapping that is read into a list of models, and serialized as a mapping again."""
        (model,) = get_args(source)
        return core_schema.with_info_wrap_validator_function(
            self._read,
            handler.generate_schema(dict[str, model]),
            serialization=core_schema.plain_serializer_function_ser_schema(self._written),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The mapping's JSON Schema, with the mark by which `schema.py` tells defaults from additions."""
        mapping: Any = schema
        names = [str(getattr(default, self.key)) for default in self.defaults]
        return {**handler(mapping["schema"]), MARK: {"key": self.key, "names": names}}

    def merged(self, entries: Mapping[str, Any]) -> tuple[dict[str, Any], Problems]:
        """The entries merged into the defaults, and the problems with their names."""
        problems: Problems = []
        found = {
            str(getattr(default, self.key)): default.model_dump(by_alias=True, exclude_unset=True)
            for default in self.defaults
        }
        known = ", ".join(found)
        for name in sorted(entries):
            entry = entries[name]
            if entry in REMOVALS:
                if name not in found:
                    text = f"removes nothing, because no default has that name; the defaults are {known}"
                    problems.append(("value_error", text, (name,), self))
                found.pop(name, None)
                continue
            if not is_dict(entry):
                found[name] = entry  # the model's own error says what is accepted
                continue
            if self.key in entry:
                text = f"{self.key} is already given by the key above: leave it out"
                problems.append(("value_error", text, (name, self.key), self))
            default = found.get(name, {})
            both = {**default, **entry, self.key: name}
            taken = [key for key in default if both[key] is None]
            found[name] = {key: value for key, value in both.items() if key not in taken}
        return found, problems

    def _read(
        self, value: Any, handler: Callable[[Any], dict[str, Model]], info: core_schema.ValidationInfo
    ) -> list[Model]:
        if is_list(value):
            if info.context == STACK_FILE or not all(isinstance(item, Model) for item in value):
                raise ValueError(self._how_to_write(value))
            refuse_duplicates(self.key, (getattr(item, self.key) for item in value))
            return list(handler({getattr(item, self.key): item for item in value}).values())
        if not is_dict(value):
            return list(handler(value).values())
        entries, problems = self.merged(value)
        try:
            models = handler(entries)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                # Report a problem with a model's name at the mapping's key.
                where = found["loc"][:1] if found["loc"][1:] == (self.key,) else found["loc"]
                problems.append((found["type"], found["msg"], where, found["input"]))
            raise refused("entries", problems) from None
        if problems:
            raise refused("entries", problems)
        return list(models.values())

    def _how_to_write(self, items: list[Any]) -> str:
        """How to write the first entry of a list in the current format, and which defaults to remove."""
        named = {str(item[self.key]): item for item in items if is_dict(item) and self.key in item}
        name = next(iter(named), "NAME")
        first = named.get(name, {})
        entry = json.dumps({key: value for key, value in first.items() if key != self.key}, default=str)
        defaults = [str(getattr(default, self.key)) for default in self.defaults]
        gone = [f"`{default}: null`" for default in defaults if default not in named]
        leaves_out = f"; to remove the defaults that the list omits, add {' and '.join(gone)}" if gone else ""
        return (
            f"is a list, which was the format before settingsVersion 2. It must be a mapping by {self.key}, "
            f"whose entries are added to the defaults, such as `{json.dumps(name)}: {entry}`{leaves_out}"
        )

    def _written(self, models: Sequence[Model]) -> dict[str, Any]:
        return {
            getattr(model, self.key): {
                key: value
                for key, value in model.model_dump(mode="json", by_alias=True).items()
                if key != self.key
            }
            for model in models
        }
