"""Lists that a stack file writes as mappings by name: what it says is added to the defaults.

A list in a stack file would replace the default list, so that whoever adds a service would take the others
away. In a mapping an entry with a default's name replaces those of its keys that it gives, another name is an
addition, and `null` removes: an entry of the defaults, or a key of such an entry.
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
"""Where the JSON Schema of such a mapping says what its entries are called, until `schema.py` has read it."""
STACK_FILE = "stack file"
"""Context of a validation whose values a stack file says; the program itself makes lists of models."""
REMOVALS = (None, "null")
"""What an entry is that takes a default away: `pulumi config set --path` can only write the text."""

Problems = list[tuple[str, str, Location, Any]]


@dataclass(frozen=True)
class ByName:
    """Annotates `list[SomeModel]`: the file has a mapping, the program a list.

    The list has the defaults first, in their order, and then the additions by name, whatever the order of the
    file (the engine sorts keys).
    """

    key: str
    """The models' field that is the mapping's key."""
    defaults: Sequence[Model]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A mapping of the models, read as a list and written as a mapping."""
        (model,) = get_args(source)
        return core_schema.with_info_wrap_validator_function(
            self._read,
            handler.generate_schema(dict[str, model]),
            serialization=core_schema.plain_serializer_function_ser_schema(self._written),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The mapping's schema, with what `schema.py` needs to tell defaults from additions."""
        mapping: Any = schema
        names = [str(getattr(default, self.key)) for default in self.defaults]
        return {**handler(mapping["schema"]), MARK: {"key": self.key, "names": names}}

    def merged(self, entries: Mapping[str, Any]) -> tuple[dict[str, Any], Problems]:
        """The entries with those of the defaults, and what is wrong with their names."""
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
                    text = f"removes nothing, because no default has this name; the defaults are {known}"
                    problems.append(("value_error", text, (name,), self))
                found.pop(name, None)
                continue
            if not is_dict(entry):
                found[name] = entry  # the model's own error says what would do
                continue
            if self.key in entry:
                text = f"{self.key} is the key above it already: leave it out"
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
                # What is wrong with a model's name is wrong with the mapping's key.
                where = found["loc"][:1] if found["loc"][1:] == (self.key,) else found["loc"]
                problems.append((found["type"], found["msg"], where, found["input"]))
            raise refused("entries", problems) from None
        if problems:
            raise refused("entries", problems)
        return list(models.values())

    def _how_to_write(self, items: list[Any]) -> str:
        """The old list's first entry as it is written now, and what else the list has said."""
        named = {str(item[self.key]): item for item in items if is_dict(item) and self.key in item}
        name = next(iter(named), "NAME")
        first = named.get(name, {})
        entry = json.dumps({key: value for key, value in first.items() if key != self.key}, default=str)
        defaults = [str(getattr(default, self.key)) for default in self.defaults]
        gone = [f"`{default}: null`" for default in defaults if default not in named]
        leaves_out = f"; the list leaves defaults out, which is {' and '.join(gone)} now" if gone else ""
        return (
            f"is a list, as before settingsVersion 2. It is a mapping by {self.key} now, whose entries are "
            f"added to the defaults, such as `{json.dumps(name)}: {entry}`{leaves_out}"
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
