"""`python -m account`: the permissions that a deployment needs, and whether an account is ready for it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

from account.permissions import UnknownActionError, UnknownTypeError
from account.policy import Deployer, PolicyError, deployer
from report.planned import PlannedError, planned


def main(arguments: Sequence[str]) -> int:
    """Runs one command in the project's folder. Returns 2 for an error that the user can fix."""
    options = _parser().parse_args(arguments)
    try:
        found = deployer(planned(options.stack))
    except (PlannedError, PolicyError, UnknownActionError, UnknownTypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(as_json(found), indent=2) if options.json else "\n".join(lines(found)))
    return 0


def as_json(found: Deployer) -> dict[str, object]:
    """The policies, and what they allow for all resources."""
    return {
        "policies": found.policies,
        "sizes": found.sizes,
        "unlimited": [{"action": item.action, "reason": item.reason} for item in found.unlimited],
    }


def lines(found: Deployer) -> Iterator[str]:
    """The policies for people."""
    for number, (policy, size) in enumerate(zip(found.policies, found.sizes, strict=True), 1):
        yield f"# Policy {number} of {len(found.policies)}, {size} characters"
        yield json.dumps(policy, indent=2)
    reasons: dict[str, list[str]] = defaultdict(list)
    for item in found.unlimited:
        reasons[item.reason].append(item.action)
    yield (
        f"# {len(found.actions)} actions. {len(found.unlimited)} of those that write are allowed for all "
        "resources (in the stack's regions, where the service has regions):"
    )
    yield from (f"#   {reason}: {', '.join(actions)}" for reason, actions in sorted(reasons.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m account", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    policy = commands.add_parser("policy", help="print the policies that the role that deploys needs")
    policy.add_argument("--stack", required=True, help="a stack with a Pulumi.<stack>.yaml file")
    policy.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
