"""Third-party versions must be immutable. Policies apply the same checks to what is deployed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_CHART_VERSION = r"^v?[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"


def pinned_image(value: str) -> str:
    """Returns the image if its version is immutable.

    Raises:
        ValueError: the image has no version, or the version is `latest`.
    """
    name = r"[^:@\s]+(:[0-9]+/[^:@\s]+)?"
    if not re.fullmatch(rf"{name}(:[\w][\w.-]{{0,127}}|(:[\w.-]+)?@sha256:[0-9a-f]{{64}})", value):
        raise ValueError(
            "must name a version, such as ghcr.io/example/orders:1.4.2 or ghcr.io/example/orders@sha256:…"
        )
    if value.endswith(":latest"):
        raise ValueError("must name a fixed version instead of 'latest'")
    return value


def pinned_chart(version: str) -> str:
    """Returns the version of a Helm chart if it is an exact version.

    Raises:
        ValueError: it is a range such as `^2.21.0`, for which Helm installs the newest match ("helm
            install").
    """
    if not re.fullmatch(_CHART_VERSION, version):
        raise ValueError("must be an exact version")
    return version


Image = Annotated[str, AfterValidator(pinned_image)]
ChartVersion = Annotated[
    str, Field(json_schema_extra={"pattern": _CHART_VERSION}), AfterValidator(pinned_chart)
]
