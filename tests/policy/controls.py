"""Writes `docs/controls.md`: which control and rule covers what, and which control is not covered and why.

`python -m tests.policy.controls`, or `make golden`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from policy.rule import Rule, Stack, StackRule
from policy.rules import RULES, STACK_RULES
from tests.policy.stacks import fixture
from tests.unit.harness import ROOT, STACKS

PAGE = ROOT / "docs" / "controls.md"
FILE = ROOT / "policy" / "controls.yaml"


@dataclass(frozen=True)
class Controls:
    """What `policy/controls.yaml` says."""

    services: Mapping[str, str | None]
    """The standard's name of a service, by the SDK's; None where it has no controls."""
    titles: Mapping[str, str]
    reasons: Mapping[str, str]
    """Why a control is not covered."""

    @classmethod
    def load(cls, path: Path = FILE) -> Controls:
        document: dict[str, Any] = yaml.safe_load(path.read_text())
        entries: list[dict[str, str]] = document["controls"]
        return cls(
            document["services"],
            {entry["id"]: entry["title"] for entry in entries},
            {entry["id"]: entry["reason"] for entry in entries if "reason" in entry},
        )


def rules_of(control: str) -> list[Rule | StackRule]:
    """The rules that cover a control."""
    return [rule for rule in (*RULES, *STACK_RULES) if control in rule.controls]


def render(stacks: Mapping[str, Stack]) -> str:
    """The page."""
    controls = Controls.load()
    own = [rule for rule in (*RULES, *STACK_RULES) if not rule.controls]
    covered = [control for control in controls.titles if control not in controls.reasons]
    return f"""# Controls

Written by `make golden` from `policy/`; do not edit. What every deployment is held to: the controls of AWS
Foundational Security Best Practices for the services in use, and rules of our own. The numbers are how many
resources of each fixture stack (`tests/stacks/`) a rule judges; objects of charts come on top, which only the
engine shows. Where a rule may be broken, and why, stands in `policy/exceptions.yaml`.

Of {len(controls.titles)} controls for the services in use, {len(covered)} are covered by rules and \
{len(controls.reasons)} have a reason below; {len(own)} rules are our own.

## Covered controls

{
        _table(
            ["Control", "Asks", "Rule", *stacks],
            (
                [control, _sentence(controls.titles[control]), f"`{rule.name}`", *_counts(rule, stacks)]
                for control in covered
                for rule in rules_of(control)
            ),
        )
    }
## Our own rules

{
        _table(
            ["Rule", "Asks", *stacks],
            ([f"`{rule.name}`", rule.title, *_counts(rule, stacks)] for rule in own),
        )
    }
## Controls that are not covered

{
        _table(
            ["Control", "Asks", "Why not"],
            (
                [control, _sentence(controls.titles[control]), reason]
                for control, reason in controls.reasons.items()
            ),
        )
    }"""


def _counts(rule: Rule | StackRule, stacks: Mapping[str, Stack]) -> list[str]:
    types = rule.types
    return [
        str(sum(rule.applies_to(item) for item in stack.resources)) if types else "all"
        for stack in stacks.values()
    ]


def _sentence(title: str) -> str:
    return title.replace("|", r"\|")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Writes the page."""
    PAGE.write_text(render({stack: fixture(stack) for stack in STACKS}))
    print(f"wrote {PAGE.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
