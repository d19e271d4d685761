"""Runs `policy/scan/frameworks.py` on several folders, after one start of Checkov.

Checkov takes seconds to start. It also remembers IAM policies by the names of their resources, so each folder
has a process of its own: a copy of this one, which has imported Checkov and scanned nothing.

A Python with Checkov's packages and none of the project's runs this file. Arguments: `frameworks.py`, and the
folders. The results of a folder are written to a file beside it, which has the suffix `.json`.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from pathlib import Path


def main(script: str, folders: list[str]) -> None:
    frameworks = runpy.run_path(script)
    for runner in frameworks["RUNNERS"].values():
        importlib.import_module(runner)
    for folder in folders:
        copy = os.fork()
        if not copy:
            with Path(f"{folder}.json").open("w") as sys.stdout:
                frameworks["main"](folder, list(frameworks["RUNNERS"]))
            os._exit(0)
        if os.waitpid(copy, 0)[1]:
            sys.exit(f"the scan of {folder} failed")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
