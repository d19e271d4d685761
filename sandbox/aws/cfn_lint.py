"""The data that the package cfn-lint ships: AWS's resource schemas and lists of regions."""

from __future__ import annotations

import functools
from importlib import metadata
from pathlib import Path


@functools.cache
def data() -> Path:
    """The folder of the data. The package isn't imported, because that takes a second."""
    return Path(str(metadata.distribution("cfn-lint").locate_file("cfnlint/data")))
