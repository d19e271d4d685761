"""Writes the reports of a pull request's previews into one comment, and keeps it up to date.

It runs after every run of a workflow in `SOURCES`, with the default branch's code, and builds the whole
comment again from the newest run of each of them for the pull request's head. So it doesn't matter in which
order runs end, a run that failed or was cancelled replaces the report of an earlier one, and a job that did
not get to run because a newer one waits for the same thing leaves nothing out. The reports are artifacts that
a pull request's own code wrote: `untrusted.py` says how they are treated.

The pull request is not taken from them either. The event has the run's head commit and repository, and the
API says which open pull request has them (`pull_requests` in the event is empty for a fork).
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from github_api import BODY_LIMIT, GitHub, GitHubError, event, run
from untrusted import ARCHIVE_BYTES, UntrustedError, file_of_archive, harmless, shortened

MARKER = "<!-- trading-platform: previews -->"
"""The first line of the comment, by which it is found again. GitHub does not show it."""

AUTHOR = "github-actions[bot]"
"""The author of comments that are written with a workflow's token. A comment of anybody else with the marker
is left alone."""

MAX_REPORTS = 10
"""Artifacts of one run that are read."""

_ARTIFACT = re.compile(r"report-([a-z0-9][a-z0-9-]{0,39})")


@dataclass(frozen=True)
class Source:
    """A workflow that uploads reports."""

    path: str
    title: str
    forks: bool
    """Whether it also runs for forks. What a fork's pull request uploads for another one is not shown."""


SOURCES = (
    Source(".github/workflows/report.yaml", "In the sandbox, against the base", forks=True),
    Source(".github/workflows/preview-dev.yaml", "On AWS: dev", forks=False),
    Source(".github/workflows/preview-prod.yaml", "On AWS: prod", forks=False),
)

GUARDS = ("policy/", ".github/")
"""Folders that hold every change to the rules. `.github/CODEOWNERS` names who must approve a change."""

MOST_FILES = 3_000
"""Files that GitHub lists of a pull request at most (REST API, "List pull requests files", read
2026-11-27)."""

SHOWN_GUARDS = 20
"""Changed files of these folders that the comment names."""

_STATES = {
    "success": "passed",
    "failure": "**failed**",
    "cancelled": "**cancelled**",
    "timed_out": "**timed out**",
    "startup_failure": "**could not start**",
    "action_required": "waits for a maintainer's approval",
    "waiting": "waits for a reviewer's approval",
    "skipped": "skipped",
    "neutral": "passed",
    "stale": "**gave no result**",
}
"""A run's conclusion, or its status while it has none → what the comment says. Other statuses mean that it
runs."""


def pull_request(github: GitHub, of_run: dict[str, Any]) -> dict[str, Any] | None:
    """The open pull request whose head is the run's; `None` if there is none (any more).

    Raises:
        GitHubError: several have this head, and the event does not say which is the run's.
    """
    repository = of_run["head_repository"]
    if repository is None:  # a fork that was deleted
        return None
    # Any other state would find pull requests that were closed. The filter is not relied upon: every result
    # is checked.
    head = f"{repository['owner']['login']}:{of_run['head_branch']}"
    found = [
        pull
        for pull in github.pages("pulls", state="open", head=head)
        if pull["head"]["sha"] == of_run["head_sha"]
        and (pull["head"]["repo"] or {}).get("full_name") == repository["full_name"]
        and pull["base"]["repo"]["full_name"] == github.repository
        and pull["state"] == "open"
    ]
    if len(found) > 1:
        numbers = {pull["number"] for pull in of_run.get("pull_requests") or []}
        found = [pull for pull in found if pull["number"] in numbers] or found
    if len(found) > 1:
        listed = ", ".join(f"#{pull['number']}" for pull in found)
        raise GitHubError(f"{listed} have the same head, and the run does not say which of them it is for")
    return found[0] if found else None


def newest_runs(github: GitHub, pull: dict[str, Any]) -> dict[Source, dict[str, Any]]:
    """The newest run of each source for the pull request's head."""
    newest: dict[Source, dict[str, Any]] = {}
    fork = pull["head"]["repo"]["full_name"] != github.repository
    sources = {source.path: source for source in SOURCES if source.forks or not fork}
    query = {"event": "pull_request", "head_sha": pull["head"]["sha"]}
    for found in github.pages("actions/runs", "workflow_runs", **query):
        source = sources.get(str(found["path"]).split("@")[0])
        here = (found["head_repository"] or {}).get("full_name") == pull["head"]["repo"]["full_name"]
        if source and here and found["head_sha"] == pull["head"]["sha"]:
            old = newest.get(source)
            if old is None or (found["run_number"], found["id"]) > (old["run_number"], old["id"]):
                newest[source] = found
    return newest


def reports(github: GitHub, of_run: dict[str, Any]) -> dict[str, str]:
    """The reports of a run by their names, made harmless; an unreadable one is replaced by the reason."""
    newest: dict[str, dict[str, Any]] = {}
    for artifact in github.pages(f"actions/runs/{int(of_run['id'])}/artifacts", "artifacts"):
        # An earlier attempt of the run may have left one with the same name.
        if found := _ARTIFACT.fullmatch(artifact["name"]):
            old = newest.get(found[1])
            newest[found[1]] = artifact if old is None else max(old, artifact, key=lambda one: one["id"])
    texts: dict[str, str] = {}
    for name, artifact in sorted(newest.items())[:MAX_REPORTS]:
        try:
            texts[name] = _report(github, artifact)
        except (UntrustedError, GitHubError) as error:
            texts[name] = f"The report can't be shown: {harmless(str(error))}."
    return texts


def _report(github: GitHub, artifact: dict[str, Any]) -> str:
    if artifact["expired"]:
        raise UntrustedError("the artifact has expired")
    if artifact["size_in_bytes"] > ARCHIVE_BYTES:
        raise UntrustedError(f"the artifact has more than {ARCHIVE_BYTES:,} bytes")
    text = file_of_archive(
        github.download(f"actions/artifacts/{int(artifact['id'])}/zip", ARCHIVE_BYTES), "report.md"
    )
    if text is None:
        raise UntrustedError("the artifact has no report.md")
    return harmless(text, github.repository)


def failures(github: GitHub, of_run: dict[str, Any]) -> list[str]:
    """The jobs of a run that did not succeed, and the first of their steps that did not."""
    lines: list[str] = []
    for job in github.pages(f"actions/runs/{int(of_run['id'])}/jobs", "jobs", filter="latest"):
        if job["conclusion"] in (None, "success", "skipped", "neutral"):
            continue
        steps = [step["name"] for step in job.get("steps") or [] if step["conclusion"] == job["conclusion"]]
        where = f", at the step *{_line(steps[0])}*" if steps else ""
        lines.append(f"- {_line(job['name'])}: {_STATES.get(job['conclusion'], 'did not succeed')}{where}")
    return lines


def _line(text: str) -> str:
    """A name from the pull request's own workflow file, as one harmless line."""
    return harmless(re.sub(r"[\s*_`|<>\[\]\\]+", " ", text))[:80].strip()


def changed_guards(github: GitHub, number: int) -> list[str]:
    """The files of a pull request that decide what every change is held to, also those that it moves away."""
    files = list(github.pages(f"pulls/{number}/files"))
    names = {str(one[key]) for one in files for key in ("filename", "previous_filename") if key in one}
    unknown = ["policy/ and .github/ (too many files to list)"] if len(files) >= MOST_FILES else []
    return sorted(name for name in names if name.startswith(GUARDS)) + unknown


def _guards(github: GitHub, number: int) -> list[str]:
    found = changed_guards(github, number)
    if not found:
        return []
    shown = [f"- `{_line(name)}`" for name in found[:SHOWN_GUARDS]]
    more = [f"- and {len(found) - SHOWN_GUARDS} more"] if len(found) > SHOWN_GUARDS else []
    return [
        "**This pull request changes the rules or the workflows, so the results below may not mean what they "
        "usually do.** Read these files first. A code owner of them must approve it:",
        "",
        *shown,
        *more,
        "",
    ]


def comment(github: GitHub, pull: dict[str, Any], runs: dict[Source, dict[str, Any]]) -> str:
    """The comment's text: what GitHub says about the runs first, then the reports."""
    head = pull["head"]["sha"]
    guards = _guards(github, int(pull["number"]))
    begin = [MARKER, f"### Previews of {head[:10]}", "", *guards, "| preview | result |", "|---|---|"]
    parts: list[tuple[str, str, str]] = []
    for source, of_run in sorted(runs.items(), key=lambda item: SOURCES.index(item[0])):
        link = f"https://github.com/{github.repository}/actions/runs/{int(of_run['id'])}"
        state = _STATES.get(of_run["conclusion"] or of_run["status"], "is running")
        begin.append(f"| [{source.title}]({link}) | {state} |")
        if of_run["conclusion"] in (None, "success", "skipped", "neutral", "action_required"):
            problems: list[str] = []
        else:
            problems = failures(github, of_run)
        texts = reports(github, of_run) if of_run["status"] == "completed" else {}
        if problems:
            parts.append((f"#### {source.title}: what did not succeed", "\n".join(problems), link))
        parts += [(f"#### {source.title}: {name}", text, link) for name, text in texts.items()]
    text = "\n".join(begin)
    room = BODY_LIMIT - len(text) - sum(len(title) + 6 for title, _, _ in parts)
    for (title, body, link), share in zip(
        parts, _shares([len(body) + 200 for _, body, _ in parts], room), strict=True
    ):
        rest = f"*The rest did not fit into the comment: [it is in the run's artifacts]({link}#artifacts).*"
        text += f"\n\n{title}\n\n{shortened(body, share, rest)}"
    return text


def _shares(lengths: list[int], room: int) -> list[int]:
    """Divides the room among texts: what one does not need is left to the others."""
    shares = [0] * len(lengths)
    for place, index in enumerate(sorted(range(len(lengths)), key=lambda index: lengths[index])):
        shares[index] = min(lengths[index], room // (len(lengths) - place))
        room -= shares[index]
    return shares


def existing(github: GitHub, number: int) -> dict[str, Any] | None:
    """The comment that this script wrote before."""
    for found in github.pages(f"issues/{number}/comments"):
        user = found["user"] or {}
        if (
            user.get("login") == AUTHOR
            and user.get("type") == "Bot"
            and (found["body"] or "").startswith(MARKER)
        ):
            return found
    return None


def main() -> int:
    """Updates the comment for the event of a workflow run."""
    github, of_event = GitHub.of_job(), event()
    of_run = of_event["workflow_run"]
    if of_run["event"] != "pull_request":
        print(f"The run was started by {of_run['event']}, not by a pull request.")
        return 0
    pull = pull_request(github, of_run)
    if pull is None:
        print(f"No open pull request has the head {of_run['head_sha']} any more.")
        return 0
    number = int(pull["number"])
    old = existing(github, number)
    if old is None and of_event["action"] != "completed":
        # A comment is announced by e-mail once, when it is created, and should have a result then.
        print(f"#{number} has no comment yet, and nothing to report.")
        return 0
    runs = newest_runs(github, pull)
    body = comment(github, pull, runs)
    if old is None:
        written = github.post(f"issues/{number}/comments", {"body": body})
    elif old["body"] == body:
        written = old
    else:
        written = github.patch(f"issues/comments/{int(old['id'])}", {"body": body})
    print(f"{written['html_url']}: {len(body):,} characters")
    return 0


if __name__ == "__main__":
    run(main)
