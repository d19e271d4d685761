"""Versions of what others make: those that do not move. Policies hold what is deployed to the same."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_CHART_VERSION = r"^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"


def pinned_image(value: str) -> str:
    """The image, where its version does not move.

    Raises:
        ValueError: it names no version, or `latest`.
    """
    name = r"[^:@\s]+(:[0-9]+/[^:@\s]+)?"
    if not re.fullmatch(rf"{name}(:[\w][\w.-]{{0,127}}|(:[\w.-]+)?@sha256:[0-9a-f]{{64}})", value):
        raise ValueError("must name a version, such as example/orders:1.4.2 or example/orders@sha256:…")
    if value.endswith(":latest"):
        raise ValueError("must name a version that does not move; 'latest' does")
    return value


def pinned_chart(version: str) -> str:
    """The version of a Helm chart, where it is one.

    Raises:
        ValueError: it is a range such as `^2.21.0`, of which Helm takes the newest ("helm install").
    """
    if not re.fullmatch(_CHART_VERSION, version):
        raise ValueError("must be one version, such as 2.21.0, and no range")
    return version


Image = Annotated[str, AfterValidator(pinned_image)]
ChartVersion = Annotated[
    str, Field(json_schema_extra={"pattern": _CHART_VERSION}), AfterValidator(pinned_chart)
]
