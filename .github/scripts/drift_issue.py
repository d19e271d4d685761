"""Keeps one issue about what differs between the accounts and the stacks' states: `drift_issue.py FOLDER…`.

Each folder has the `drift.json` of one environment. The issue is opened when something differs, updated while
something does, and closed when nothing does. An environment that could not be checked is listed too, and
keeps the issue open.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from github_api import BODY_LIMIT, GitHub, run
from untrusted import harmless, shortened

MARKER = "<!-- trading-platform: drift -->"
"""The first line of the issue, by which it is found again."""

TITLE = "The accounts differ from what was deployed"
LABEL = "drift"
AUTHOR = "github-actions[bot]"


def body(results: list[dict[str, Any]], link: str) -> str:
    """The issue's text; empty if nothing differs."""
    parts: list[str] = []
    for result in results:
        if result["error"]:
            text = harmless(result["error"])
            parts.append(
                f"### {result['stack']}: could not be checked\n\n```\n{text.replace('```', '` ` `')}\n```"
            )
        elif changes := result["changes"]:
            lines = [_line(change) for change in changes]
            parts.append(f"### {result['stack']}: {len(changes)} resources\n\n" + "\n".join(lines))
    if not parts:
        return ""
    text = "\n\n".join(
        [
            MARKER,
            "Resources were changed or deleted in an account, and not by a deployment. A deployment does not "
            "see that by itself. [Drift](../blob/main/docs/deployment.md#drift) says how to decide.",
            *parts,
        ]
    )
    rest = f"*The rest did not fit into the issue: [it is in the run's artifacts]({link}#artifacts).*"
    return shortened(f"{text}\n\n[The run that found this]({link}).", BODY_LIMIT, rest)


def _line(change: dict[str, Any]) -> str:
    kind, name = change["urn"].split("::", 3)[2].rsplit("$", 1)[-1], change["urn"].rsplit("::", 1)[-1]
    what = (
        "was deleted"
        if change["operation"] == "delete"
        else ", ".join(f"`{p}`" for p in change["properties"])
    )
    return harmless(f"- `{kind}` **{name}**: {what or 'changed'}")


def existing(github: GitHub) -> dict[str, Any] | None:
    """The open issue that this script wrote before."""
    for found in github.pages("issues", state="open"):
        of_author = (found["user"] or {}).get("login") == AUTHOR
        if of_author and "pull_request" not in found and (found["body"] or "").startswith(MARKER):
            return found
    return None


def read(folder: Path) -> dict[str, Any]:
    """The result in a folder, whose name ends with the stack's; an error if the job left none."""
    try:
        return json.loads((folder / "drift.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {
            "stack": folder.name.rsplit("-", 1)[-1],
            "changes": [],
            "error": "The job ended without a result.",
        }


def update(github: GitHub, results: list[dict[str, Any]], link: str) -> str:
    """Opens, updates or closes the issue, and returns what it did."""
    text, old = body(results, link), existing(github)
    if not text:
        if old is None:
            return "nothing differs"
        number = int(old["number"])
        github.post(f"issues/{number}/comments", {"body": f"[Nothing differs any more]({link})."})
        github.patch(f"issues/{number}", {"state": "closed", "state_reason": "completed"})
        return f"closed #{number}"
    if old is None:
        new = github.post("issues", {"title": TITLE, "body": text, "labels": [LABEL]})
        return f"opened #{int(new['number'])}"
    github.patch(f"issues/{int(old['number'])}", {"body": text})
    return f"updated #{int(old['number'])}"


def main() -> int:
    """Updates the issue for the folders that the arguments name."""
    link = f"https://github.com/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    print(update(GitHub.of_job(), [read(Path(name)) for name in sys.argv[1:]], link))
    return 0


if __name__ == "__main__":
    run(main)
