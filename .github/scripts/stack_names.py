"""Sets the step's output `names` to the names of all stack files, as JSON. It only needs Python's standard
library."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from github_api import set_output


def names(folder: Path) -> list[str]:
    """The names of the stacks that have a `Pulumi.NAME.yaml`."""
    return sorted(
        path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in folder.glob("Pulumi.*.yaml")
    )


if __name__ == "__main__":
    set_output("names", json.dumps(names(Path())))
