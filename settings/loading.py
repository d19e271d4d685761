"""The base of all settings of a stack: how they are read from the engine or from a stack file's values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from pydantic import ValidationError

from settings.by_name import STACK_FILE
from settings.errors import Problem, SettingsError, explain
from settings.model import NAMESPACE, Model, is_dict, is_list
from settings.namespaces import foreign_keys
from settings.schema import values_schema
from settings.written import as_declared, of_key


class StackModel(Model):
    """The top level of a stack's settings. Its fields are the keys of the namespace `trading`."""

    @classmethod
    def load(cls) -> Self:
        """Loads the current stack's settings from the engine.

        Raises:
            SettingsError: a key is missing or unknown, has a wrong value or is in an unknown namespace.
        """
        # Imported here because it takes longer than everything else, and other uses don't need it.
        from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

        configuration: dict[str, str] = {**get_config_env(), **CONFIG.get()}
        ours = {key: of_key(text) for key, text in configuration.items() if key.startswith(f"{NAMESPACE}:")}
        secrets = {text for key, value in ours.items() if is_config_secret(key) for text in _texts(value)}
        problems = foreign_keys(configuration)
        settings = cls.checked({key.removeprefix(f"{NAMESPACE}:"): ours[key] for key in ours}, secrets)
        if isinstance(settings, cls) and not problems:
            return settings
        raise SettingsError([*problems, *(settings if isinstance(settings, list) else ())])

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Parses `values`, the stack file's keys without the prefix `trading:`.

        Raises:
            SettingsError: as for `load`.
        """
        settings = cls.checked(values)
        if isinstance(settings, list):
            raise SettingsError(settings)
        return settings

    @classmethod
    def checked(cls, values: Mapping[str, Any], secrets: Iterable[str] = ()) -> Self | list[Problem]:
        """Returns the settings in `values`, or all problems with them.

        Args:
            values: as for `parse`.
            secrets: strings that must not appear in errors.
        """
        try:
            return cls._checked(values, secrets)
        except RecursionError:
            return [Problem((), "a value is nested too deeply")]

    @classmethod
    def _checked(cls, values: Mapping[str, Any], secrets: Iterable[str]) -> Self | list[Problem]:
        read = cls._of_this_release(as_declared(values, values_schema(cls, described=False)))
        if isinstance(read, list):
            return read
        try:
            return cls.model_validate(read, context=STACK_FILE, by_alias=True, by_name=False)
        except ValidationError as error:
            return explain(error, values_schema(cls), secrets)

    @classmethod
    def _of_this_release(cls, values: dict[str, Any]) -> dict[str, Any] | list[Problem]:
        """The values, or the problem that this release can't check them."""
        return values


def _texts(value: Any) -> Iterator[str]:
    """All scalars of a value, as an error would show them."""
    if is_dict(value) or is_list(value):
        for item in value.values() if is_dict(value) else value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
