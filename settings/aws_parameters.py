"""Parameters that AWS accepts in parameter groups and configurations, from `aws_parameters.json`.

The file names its sources and their date. Anything that AWS has added since must be added there.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_FILE = Path(__file__).with_name("aws_parameters.json")
_RANGE = re.compile(r"(-?[0-9.]+)-([0-9.]+)")


class DatabaseParameter(NamedTuple):
    """A parameter of Aurora PostgreSQL."""

    kind: str
    """`dynamic`, `static` (takes effect when an instance restarts) or `fixed` (can't be changed)."""
    default: str | None
    """The default that RDS reports; None if it leaves the default to PostgreSQL."""
    allowed: str | None
    """The allowed values as RDS reports them: a list, or a range such as `0-100`."""


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads(_FILE.read_text())


@functools.cache
def database_parameters(family: str, *, instance: bool = False) -> Mapping[str, DatabaseParameter]:
    """The parameters of a family such as `aurora-postgresql17`, of a cluster or of an instance."""
    found = _data()["aurora-postgresql"]
    known: dict[str, list[str | None]] = dict(found["cluster"])
    for version, changed in found["since"].items():
        if int(re.sub(r"\D", "", family) or 0) >= int(version):
            known |= changed
    names = found["instance"] if instance else known
    return {name: DatabaseParameter(str(known[name][0]), *known[name][1:]) for name in names}


def database_problems(
    family: str, parameters: Mapping[str, tuple[str, str]], *, instance: bool = False
) -> Iterator[str]:
    """The errors with which RDS rejects parameters.

    Args:
        family: the family of the parameter group.
        parameters: name → value and apply method (`immediate` or `pending-reboot`).
        instance: whether the group is for instances instead of for the cluster.
    """
    known = database_parameters(family, instance=instance)
    for name, (value, method) in parameters.items():
        parameter = known.get(name)
        if parameter is None:
            yield f"Could not find parameter with name: {name}"
        elif parameter.kind == "fixed":
            yield f"The parameter {name} cannot be modified"
        elif parameter.kind == "static" and method == "immediate":
            yield f"cannot use immediate apply method for static parameter: {name}"
        elif parameter.allowed and not _allows(parameter.allowed, value):
            yield f"Invalid parameter value: {value} for: {name} allowed values are: {parameter.allowed}"


def _allows(allowed: str, value: str) -> bool:
    if limits := _RANGE.fullmatch(allowed):
        return bool(re.fullmatch(r"-?[0-9.]+", value)) and (
            float(limits[1]) <= float(value) <= float(limits[2])
        )
    return {item.strip() for item in value.split(",")} <= set(allowed.split(","))


def cache_default(name: str) -> str | None:
    """The default of a parameter of Valkey on ElastiCache; None if it isn't known."""
    return _data()["valkey"]["modifiable"].get(name)


def cache_problems(parameters: Mapping[str, str]) -> Iterator[str]:
    """The errors with which ElastiCache rejects parameters of Valkey, by name."""
    known = _data()["valkey"]
    for name in parameters:
        if name in known["fixed"]:
            yield f"The parameter {name} cannot be modified"
        elif name not in known["modifiable"]:
            yield f"Could not find parameter with name: {name}"


def broker_problems(server_properties: str) -> Iterator[str]:
    """The errors with which MSK rejects the text of a configuration for Standard brokers."""
    for line in server_properties.splitlines():
        name = line.partition("=")[0].strip()
        if name and not name.startswith("#") and name not in _data()["msk"]["properties"]:
            yield f"Unsupported configuration property: {name}"
