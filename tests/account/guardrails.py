"""Writes the table of the service control policies in `docs/policy.md`.

Run it with `python -m tests.account.guardrails` or `make golden`.
"""

from __future__ import annotations

from account.guardrails import denials
from policy.rules import NAMES
from tests.account.bootstrap import STACK
from tests.pages import filled, table
from tests.unit.harness import ROOT, config_of

PAGE = ROOT / "docs" / "policy.md"
REGIONS: list[str] = config_of(STACK)["trading:regions"]


def render(page: str) -> str:
    """The page with the current table."""
    rows = [
        [f"`{name}`", f"`{denial.sid}`", denial.why, ", ".join(f"`{rule}`" for rule in denial.rules)]
        for name, found in denials(REGIONS).items()
        for denial in found
    ]
    held = {rule for found in denials(REGIONS).values() for denial in found for rule in denial.rules}
    others = [rule for rule in NAMES if rule not in held]
    names = ", ".join(f"`{rule}`" for rule in others)
    text = (
        f"{table(['policy', 'statement', 'denies', 'rules'], rows)}\n{len(held)} of the {len(NAMES)} rules "
        f"have such a counterpart. The other {len(others)} have none: {names}.\n"
    )
    return filled(page, "guardrails", text)


def main() -> None:
    """Writes the table."""
    PAGE.write_text(render(PAGE.read_text()))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
