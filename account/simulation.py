"""Whether a principal may do what the generated policies allow, by policy simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from account.question import Answer, Client, UnansweredError, judged, pages, some, unless
from policy.rule import listed

Statements = Sequence[Mapping[str, Any]]

_ACTIONS = 50
"""Actions in a request of `SimulatePrincipalPolicy`, and `_RESOURCES` the resources. The API documents no
limit, but evaluates each action for each resource, and returns up to 1000 results in a page (`MaxItems`, IAM
API Reference, read 2026-11-27)."""
_RESOURCES = 20


def permissions(
    iam: Client, role: str | None, principal: str, needed: Callable[[], Statements], account: str
) -> Answer:
    """A principal may do what the generated policies allow.

    Args:
        iam: the client.
        role: the name of the role; None for a user.
        principal: the ARN of a user.
        needed: the statements of the policies.
        account: the account's number.
    """
    if role:
        found = unless("NoSuchEntity", lambda: iam.get_role(RoleName=role))
        if found is None:
            return Answer("unknown", f"{role} doesn't exist", "see `pipeline-roles`")
        principal = found["Role"]["Arn"]  # with the role's path, such as that of IAM Identity Center
    denied: set[str] = set()
    missing: set[str] = set()
    statements = [statement for statement in needed() if statement["Effect"] == "Allow"]
    for statement in statements:
        for actions, resources, context in _requests(statement, account):
            results = pages(
                iam,
                "simulate_principal_policy",
                "EvaluationResults",
                PolicySourceArn=principal,
                ActionNames=actions,
                ResourceArns=resources,
                ContextEntries=context,
            )
            allowed, refused = _decisions(results)
            denied |= refused
            told = {name.lower() for name in refused}
            missing |= {
                action
                for action in actions
                for resource in resources
                if action.lower() not in told and (action.lower(), resource) not in allowed
            }
    count = len({action for statement in statements for action in statement["Action"]})
    if missing and not denied:
        raise UnansweredError(
            f"the simulation of {principal} has no result for {len(missing)} of {count} actions: "
            f"{some(sorted(missing), 5)}"
        )
    return judged(
        [f"{len(denied)} of {count} actions are denied: {some(sorted(denied), 5)}"] if denied else [],
        f"{principal}: {count} actions are allowed",
        "attach the policies that `make deployer-policy` prints, or deploy the project `bootstrap` with them",
    )


def _decisions(results: Iterator[Any]) -> tuple[set[tuple[str, str]], set[str]]:
    """The allowed pairs of an action (in lower case) and a resource, and the denied actions.

    The decision for a resource is in `ResourceSpecificResults`. A result without these is about its action
    and `*`, or the resource that it names.
    """
    allowed: set[tuple[str, str]] = set()
    denied: set[str] = set()
    for item in results:
        name = item["EvalActionName"]
        decisions = [
            (one["EvalResourceName"], one["EvalResourceDecision"])
            for one in item.get("ResourceSpecificResults", ())
        ] or [(item.get("EvalResourceName", "*"), item["EvalDecision"])]
        for resource, decision in decisions:
            if decision == "allowed":
                allowed.add((name.lower(), resource))
            else:
                denied.add(name)
    return allowed, denied


def _requests(
    statement: Mapping[str, Any], account: str
) -> Iterator[tuple[list[str], list[str], list[dict[str, Any]]]]:
    """The actions, resources and context entries of all requests about a statement."""
    actions, resources = statement["Action"], [_example(name, account) for name in statement["Resource"]]
    condition = statement.get("Condition", {})
    values = {key: ["any"] for key, absent in condition.get("Null", {}).items() if absent == "false"}
    values |= {key: listed(value) for key, value in condition.get("StringEquals", {}).items()}
    # Each value of each key is in one request: the values of a key are alternatives.
    for number in range(max((len(found) for found in values.values()), default=1)):
        context = [
            {
                "ContextKeyName": key,
                "ContextKeyType": "string",
                "ContextKeyValues": [found[number % len(found)]],
            }
            for key, found in values.items()
        ]
        for first in range(0, len(actions), _ACTIONS):
            for start in range(0, len(resources), _RESOURCES):
                yield (
                    list(actions[first : first + _ACTIONS]),
                    resources[start : start + _RESOURCES],
                    context,
                )


def _example(pattern: str, account: str) -> str:
    """An ARN that a pattern matches, in this account."""
    if pattern == "*":
        return pattern
    parts = pattern.split(":", 5)
    if parts[4] == "*":
        parts[4] = account
    if parts[3] == "*":
        parts[3] = "us-east-1"
    return ":".join(parts).replace("*", "x")
