"""Policy simulation: every resource and every value of a condition, and what AWS leaves out is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from account import simulation
from account.question import Answer
from account.question import ask as build
from tests.account.cases import new_client

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-reserved/sso.amazonaws.com/eu-west-1/deploy"
STATEMENT: Mapping[str, Any] = {
    "Effect": "Allow",
    "Action": ["ec2:CreateVpc"],
    "Resource": ["*"],
    "Condition": {
        "StringEquals": {"aws:RequestedRegion": ["us-east-1", "eu-west-1"], "aws:ResourceTag/x": "same"}
    },
}
TABLES: Mapping[str, Any] = {
    "Effect": "Allow",
    "Action": ["dynamodb:CreateTable"],
    "Resource": [f"arn:aws:dynamodb:*:*:table/t-{number}*" for number in range(25)],
}
EXAMPLES = [f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/t-{number}x" for number in range(25)]


def result(action: str, decision: str = "allowed", **resources: str) -> Mapping[str, Any]:
    found = {"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": decision}
    specific = [{"EvalResourceName": name, "EvalResourceDecision": one} for name, one in resources.items()]
    return {**found, "ResourceSpecificResults": specific} if specific else found


class Iam:
    """A client with responses to the requests of one simulation, in their order."""

    def __init__(self, role: str | None = "deploy") -> None:
        self.client = new_client("iam")
        self.stub = Stubber(self.client)
        self.role = role
        if role:
            fields = {"Path": "/", "RoleName": role, "RoleId": "A" * 16, "CreateDate": "2026-01-01"}
            self.stub.add_response("get_role", {"Role": {**fields, "Arn": ROLE}}, {"RoleName": role})

    def expects(
        self,
        found: Sequence[Any],
        resources: Sequence[str] | object = ANY,
        context: object = ANY,
        **more: Any,
    ) -> None:
        """One request, and its response."""
        request = {
            "PolicySourceArn": ROLE if self.role else ANY,
            "ActionNames": ANY,
            "ResourceArns": resources,
            "ContextEntries": context,
        }
        response = {"EvaluationResults": found, **more}
        self.stub.add_response("simulate_principal_policy", response, {**request})

    def asked(self, *statements: Mapping[str, Any]) -> Answer:
        self.stub.activate()
        question = build(
            "permissions",
            "",
            "iam",
            ("GetRole", "SimulatePrincipalPolicy"),
            simulation.permissions,
            self.role,
            f"arn:aws:iam::{ACCOUNT}:user/me",
            lambda: statements,
            ACCOUNT,
        )
        answer = question.answer(self.client)
        if answer.status != "unknown":
            self.stub.assert_no_pending_responses()
        return answer


def of_region(name: str) -> list[Mapping[str, Any]]:
    return [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
        for key, value in (("aws:RequestedRegion", name), ("aws:ResourceTag/x", "same"))
    ]


@pytest.mark.parametrize("second", ["allowed", "implicitDeny"])
def test_every_value_of_a_condition_is_simulated(second: str) -> None:
    iam = Iam()
    iam.expects([result("ec2:CreateVpc")], ["*"], of_region("us-east-1"))
    iam.expects([result("ec2:CreateVpc", second)], ["*"], of_region("eu-west-1"))
    answer = iam.asked(STATEMENT)
    assert answer.status == ("pass" if second == "allowed" else "fail")
    assert second == "allowed" or "1 of 1 actions are denied: ec2:CreateVpc" in answer.found


@pytest.mark.parametrize("last", ["allowed", "explicitDeny"])
def test_every_resource_is_simulated(last: str) -> None:
    iam = Iam()
    iam.expects([result("dynamodb:CreateTable", **dict.fromkeys(EXAMPLES[:20], "allowed"))], EXAMPLES[:20])
    more = {**dict.fromkeys(EXAMPLES[20:], "allowed"), EXAMPLES[24]: last}
    iam.expects([result("dynamodb:CreateTable", **more)], EXAMPLES[20:])
    assert iam.asked(TABLES).status == ("pass" if last == "allowed" else "fail")


def test_many_actions_take_several_requests_and_pages() -> None:
    names = [f"ec2:Describe{number}" for number in range(60)]
    iam = Iam()
    iam.expects([result(name) for name in names[:30]], IsTruncated=True, Marker="next")
    iam.stub.add_response(
        "simulate_principal_policy", {"EvaluationResults": [result(name) for name in names[30:50]]}
    )
    iam.expects([result(name) for name in names[50:]])
    assert iam.asked({"Effect": "Allow", "Action": names, "Resource": ["*"]}).status == "pass"


def test_missing_results_are_unknown() -> None:
    iam = Iam()
    iam.expects([])
    answer = iam.asked({"Effect": "Allow", "Action": ["ec2:CreateVpc"], "Resource": ["*"]})
    assert (answer.status, "no result for 1 of 1 actions: ec2:CreateVpc" in answer.found) == ("unknown", True)


def test_missing_results_of_one_resource_are_unknown() -> None:
    iam = Iam()
    iam.expects([result("dynamodb:CreateTable", **dict.fromkeys(EXAMPLES[:19], "allowed"))])
    iam.expects([result("dynamodb:CreateTable", **dict.fromkeys(EXAMPLES[20:], "allowed"))])
    assert iam.asked(TABLES).status == "unknown"


def test_user_is_simulated_by_its_arn() -> None:
    iam = Iam(None)
    iam.expects([result("ec2:CreateVpc")])
    assert iam.asked({"Effect": "Allow", "Action": ["ec2:CreateVpc"], "Resource": ["*"]}).status == "pass"


def test_role_that_does_not_exist_is_unknown() -> None:
    iam = Iam(None)
    iam.role = "trading-deploy-dev"
    iam.stub.add_client_error("get_role", "NoSuchEntity")
    assert iam.asked(STATEMENT) == Answer(
        "unknown", "trading-deploy-dev doesn't exist", "see `pipeline-roles`"
    )


@pytest.mark.parametrize("operation", ["get_role", "simulate_principal_policy"])
def test_refused_simulation_is_unknown(operation: str) -> None:
    iam = Iam("deploy" if operation.startswith("simulate") else None)
    iam.role = "deploy"
    iam.stub.add_client_error(operation, "AccessDenied")
    answer = iam.asked(STATEMENT)
    assert (answer.status, answer.found.startswith("not allowed to call iam:")) == ("unknown", True)


def test_request_fulfils_the_conditions_of_a_statement_and_no_refusal_is_simulated() -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/platform": "trading-dev"},
        "Null": {"ec2:CreateAction": "false"},
    }
    allowed = {"Effect": "Allow", "Action": ["ec2:CreateTags"], "Resource": ["*"], "Condition": condition}
    iam = Iam()
    iam.expects(
        [result("ec2:CreateTags")],
        ["*"],
        [
            {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": [value]}
            for key, value in (("ec2:CreateAction", "any"), ("aws:RequestTag/platform", "trading-dev"))
        ],
    )
    assert iam.asked(allowed, {**allowed, "Effect": "Deny"}).status == "pass"
