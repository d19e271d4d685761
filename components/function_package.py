"""Deployment packages of the Lambda functions."""

from __future__ import annotations

from pathlib import Path

import pulumi

FUNCTIONS = Path("functions")


def function_package(function: str, root: Path | None = None) -> pulumi.AssetArchive:
    """The package of `functions/<function>`: its Python sources alone.

    The engine writes archives with a fixed time and mode for each file, so the same sources give the same
    hash on every machine. Libraries are what Lambda's Python brings: none that would have to be built.
    """
    root = root or Path(__file__).parents[1]
    sources = sorted(path.relative_to(root) for path in (root / FUNCTIONS / function).rglob("*.py"))
    # Paths relative to the project, where the engine runs: the state says nothing of the machine.
    return pulumi.AssetArchive(
        {path.relative_to(FUNCTIONS).as_posix(): pulumi.FileAsset(path.as_posix()) for path in sources}
    )
