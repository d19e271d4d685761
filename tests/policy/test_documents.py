"""Policy documents: what the rules refuse and accept, in all forms and places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moto.iam.aws_managed_policies import aws_managed_policies_data
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError, unknown_checking_proxy
from pydantic import ValidationError

from policy import ours
from policy.documents.admission import is_public, strangers
from policy.documents.parse import Document, documents
from policy.documents.patterns import covers, is_wide_action, is_wide_resource
from policy.ours import OURS as SETTINGS
from policy.ours import Ours
from policy.rules import RULES
from policy.rules.documents import ESCALATING
from tests.policy import evaluator
from tests.policy.attacks import (
    ENDPOINT_PLACES,
    IDENTITY_PLACES,
    OURS,
    RESOURCE_PLACES,
    TABLE,
    THEIRS,
    TRUST,
    Json,
    Place,
    attacks,
    document,
    found,
    found_in_original,
    made,
    passed,
    resource,
    statement,
)
from tests.policy.evaluator import Request

ATTACKS = list(attacks())
RULES_OF_DOCUMENTS = (
    *("attached-policy-is-known", "bucket-policy-gives-no-control", "document-admits-only-us"),
    *("document-is-readable", "endpoint-reaches-only-us", "lambda-is-not-public", "managed-policy-is-listed"),
    *("nothing-is-shared-with-strangers", "policy-decrypts-with-named-keys", "policy-gives-no-way-up"),
    *("policy-names-its-actions", "policy-names-its-resources"),
)

VPCE: Json = {"aws:SourceVpce": "vpce-0123456789abcdef0"}
SECURE_PRINCIPALS: dict[str, Json] = {
    "account": {"Principal": {"AWS": OURS}},
    "root": {"Principal": {"AWS": f"arn:aws:iam::{OURS}:root"}},
    "roles": {"Principal": {"AWS": [f"arn:aws:iam::{OURS}:role/a", f"arn:aws:iam::{OURS}:role/b/c"]}},
    "session": {"Principal": {"AWS": f"arn:aws:sts::{OURS}:assumed-role/ops/me"}},
    "account's condition": {
        "Principal": "*",
        "Condition": {"StringEquals": {"AWS:PRINCIPALACCOUNT": [OURS]}},
    },
    "resource's account": {
        "Principal": {"AWS": "*"},
        "Condition": {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}},
    },
    "role's condition": {
        "Principal": {"AWS": ["*"]},
        "Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OURS}:role/trading-*"}},
    },
    "endpoint": {"Principal": "*", "Condition": {"StringEquals": VPCE}},
    "service for our account": {
        "Principal": {"Service": "events.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": OURS}},
    },
    "service for our resource": {
        "Principal": {"Service": ["cloudfront.amazonaws.com"]},
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:cloudfront::{OURS}:distribution/E1"}},
    },
    "also with TLS": {
        "Principal": "*",
        "Condition": {
            "Bool": {"aws:SecureTransport": "true"},
            "StringEquals": {"aws:PrincipalAccount": OURS},
        },
    },
}


def of_documents(it: Any) -> set[tuple[str, str]]:
    return {(rule, text) for rule, text in found(it) if rule in RULES_OF_DOCUMENTS}


def read(value: Json | str) -> Document:
    (parsed,) = documents({"policy": value})
    return parsed


# -- attacks and their secure relatives ----------------------------------------------------------


def test_there_are_many_attacks_of_each_kind() -> None:
    assert len(ATTACKS) > 2000
    assert len({attack.name for attack in ATTACKS}) > 2000


@pytest.mark.parametrize("kind", sorted({attack.kind for attack in ATTACKS}))
def test_every_attack_is_refused(kind: str) -> None:
    assert [attack.name for attack in ATTACKS if attack.kind == kind and passed(attack)] == []


def test_what_attacks_were_made_from_is_accepted() -> None:
    assert {
        it for attack in ATTACKS for it in found_in_original(attack) if it[0] in RULES_OF_DOCUMENTS
    } == set()


@pytest.mark.parametrize("name", SECURE_PRINCIPALS)
def test_secure_principals_are_accepted_everywhere(name: str) -> None:
    for place in (*RESOURCE_PLACES, TRUST):
        value = document(statement(place), statement(place, SECURE_PRINCIPALS[name]))
        assert of_documents(made(place, value)) == set(), place
        if place.path != "body":
            assert of_documents(resource(place.type, place.holding(value))) == set(), place


@pytest.mark.parametrize("place", RESOURCE_PLACES, ids=lambda place: place.type)
def test_everyone_may_be_allowed_what_strangers_are_denied(place: Place) -> None:
    everyone = statement(place, {"Principal": "*"})
    for condition in (
        {"StringNotEquals": VPCE},
        {"StringNotEqualsIfExists": VPCE},
        {"StringNotEquals": {"aws:PrincipalAccount": [OURS]}},
        {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{OURS}:role/*"}},
    ):
        deny = {**everyone, "Effect": "Deny", "Condition": condition}
        assert of_documents(made(place, document(everyone, deny))) == set()


@pytest.mark.parametrize("place", IDENTITY_PLACES, ids=lambda place: place.type)
def test_policies_that_name_what_they_allow_are_accepted(place: Place) -> None:
    for action, text in (
        ("dynamodb:GetItem", f"{TABLE}/index/*"),
        ("dynamodb:Get*", TABLE),
        ("s3:GetObject", "arn:aws:s3:::reports/*"),
        ("s3:GetObject", "arn:aws:s3:::reports/${aws:userid}/*"),
        ("logs:PutLogEvents", f"arn:aws:logs:*:{OURS}:log-group:/aws/lambda/orders-*"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{OURS}:secret:trading/a-??????"),
        ("kms:Decrypt", f"arn:aws:kms:us-east-1:{OURS}:key/0c5b4a6e-0001-4f0e-9d2c-2f1f7a3b9c11"),
        ("ec2:DescribeSubnets", "*"),
        ("EC2:describe*", " * "),
        ("iam:PassRole", f"arn:aws:iam::{OURS}:role/backup"),
        ("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{OURS}:function:orders:*"),
    ):
        secure = {"Effect": "Allow", "Action": action, "Resource": text}
        denied = {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}
        assert of_documents(made(place, document(secure, denied))) == set(), (action, text)


@pytest.mark.parametrize("place", ENDPOINT_PLACES, ids=lambda place: place.type)
def test_endpoints_that_reach_only_ours_are_accepted(place: Place) -> None:
    for change in (
        {"Condition": {"StringEquals": {"aws:ResourceAccount": OURS}}, "Action": "*"},
        {"Resource": f"arn:aws:execute-api:us-east-1:{OURS}:*"},
        {"Resource": "arn:aws:s3:::prod-us-east-1-starport-layer-bucket/*"},
        {"Condition": {"StringEquals": {"aws:PrincipalAccount": OURS}}},
    ):
        everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
        assert of_documents(made(place, document({**everyone, **change}))) == set()


def allowing(**item: Any) -> Json:
    return document({"Effect": "Allow", **item})


EVERYONE = allowing(Principal={"AWS": ["*"]}, Action="*", Resource="*")
COUNTEREXAMPLES: list[tuple[str, str, Json]] = [
    ("IAM.1", "aws:iam/policy:Policy", {"policy": allowing(NotAction="a:b", Resource="*")}),
    ("IAM.1", "aws:iam/policy:Policy", {"policy": allowing(Action="?*:*", Resource="*")}),
    ("IAM.1", "aws:iam/groupPolicy:GroupPolicy", {"policy": allowing(Action="**", Resource="*")}),
    ("IAM.1", "aws:iam/role:Role", {"managedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]}),
    ("IAM.21", "aws:iam/policy:Policy", {"policy": allowing(Action="S3:**", Resource="a")}),
    ("IAM.21", "aws:iam/policy:Policy", {"policy": allowing(Action="e?2:*", Resource="a")}),
    ("KMS.1", "aws:iam/policy:Policy", {"policy": allowing(Action="KMS:De*", Resource="arn:aws:kms")}),
    ("KMS.1", "aws:iam/policy:Policy", {"policy": allowing(Action="kms:Decrypt", NotResource="a")}),
    ("KMS.1", "aws:iam/policy:Policy", {"policy": allowing(NotAction="s3:*", Resource="*")}),
    (
        "KMS.2",
        "aws:iam/role:Role",
        {"inlinePolicies": [{"policy": allowing(Action="kms:ReEncrypt*", Resource="**")}]},
    ),
    ("KMS.5", "aws:kms/replicaKey:ReplicaKey", {"policy": EVERYONE}),
    (
        "S3.6",
        "aws:s3/bucketPolicy:BucketPolicy",
        {"policy": allowing(Principal="*", Action="S3:putBucket*", Resource="*")},
    ),
    ("SNS.4", "aws:sns/topic:Topic", {"policy": EVERYONE}),
    ("SQS.3", "aws:sqs/queue:Queue", {"policy": EVERYONE}),
    ("Lambda.1", "aws:lambda/permission:Permission", {"principal": THEIRS}),
    ("Lambda.1", "aws:lambda/resourcePolicy:ResourcePolicy", {"policy": EVERYONE}),
]
"""Control, and a resource that is against it in a form that is easily overlooked."""


@pytest.mark.parametrize(("control", "type_", "properties"), COUNTEREXAMPLES)
def test_rules_of_a_control_refuse_every_form_of_what_it_forbids(
    control: str, type_: str, properties: Json
) -> None:
    it = resource(type_, properties)
    rules = {rule.name for rule in RULES if control in rule.controls}
    assert rules & {rule for rule, _ in found(it)}


# -- parsing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "properties",
    [
        {"redrivePolicy": '{"deadLetterTargetArn": "arn", "maxReceiveCount": 3}'},
        {"lifecyclePolicy": '{"rules": [{"action": {"type": "expire"}}]}'},
        {"sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"},
        {"policy": "arn:aws:iot:us-east-1:1:policy/a"},
        {"contentSecurityPolicy": "default-src 'self'; form-action 'none'"},
        {"rules": [{"statement": {"managedRuleGroupStatement": {"name": "a"}}, "action": {}}]},
        {"policy": json.dumps({"Statement": [{"Sid": "a", "DataIdentifier": ["b"], "Operation": {}}]})},
        {"dashboardBody": json.dumps({"widgets": []})},
        {"environment": {"variables": {"TEXT": "Statement: the effect of an action"}}},
        {"masterPassword": "[secret]"},
    ],
)
def test_other_properties_are_not_taken_for_documents(properties: Json) -> None:
    assert list(documents(properties)) == []


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("[secret]", "policy is secret as a whole"),
        ("permit (principal, action, resource);", "policy is not JSON: write the policy as JSON"),
        ('{"Statement": [', "policy is not valid JSON"),
        ({"Statement": [{"Effect": "allow", "Action": "a:b"}]}, "effect allow: use Allow or Deny"),
        ({"Statement": [{"effect": "Allow", "Action": "a:b"}]}, "with the element effect: use only Action"),
        ({"statement": [{"Effect": "Allow", "Action": "a:b"}]}, "has the element statement"),
        ({"Statement": [{"Effect": "Allow"}]}, "without an action"),
        ({"Statement": [{"Effect": "Allow", "Action": 1}]}, "Action is not text"),
        (
            {"Statement": [{"Effect": "Allow", "Action": "a:b", "NotAction": "a:c"}]},
            "both Action and NotAction",
        ),
        (
            {"Statement": [{"Effect": "Allow", "Action": "a:b", "Principal": "me"}]},
            'neither "*" nor an object',
        ),
        ({"Statement": [{"Effect": "Allow", "Action": "a:b", "Principal": None}]}, "Principal is null"),
        ({"Statement": [{"Effect": "Allow", "Action": "a:b", "Principal": {"aws": "*"}}]}, "the kind aws"),
        (
            {"Statement": [{"Effect": "Allow", "Action": "a:b", "Condition": "x"}]},
            "Condition is not an object",
        ),
        ({"Statement": [{"Effect": "Allow", "Action": "a:b"}, 1]}, "a statement that is not an object"),
        ({"Version": "1", "Statement": [{"Effect": "Allow", "Action": "a:b"}]}, "has the version 1"),
        ('{"Statement": [{"Effect": "Allow", "Effect": "Deny", "Action": "*"}]}', "contains Effect twice"),
    ],
)
def test_document_that_cannot_be_read_is_refused_with_one_text(value: Any, says: str) -> None:
    place = IDENTITY_PLACES[0]
    (finding,) = of_documents(resource(place.type, {"policy": value}))
    assert finding[0] == "document-is-readable"
    assert says in finding[1]


def test_known_documents_are_judged_before_unknown_ones_are_reported() -> None:
    text = json.dumps(document(statement(TRUST, {"Principal": "*"})))
    engine: Any = unknown_checking_proxy(
        {
            "inlinePolicies": [{"policy": UNKNOWN_STRING_VALUE}],
            "policy": {"Statement": UNKNOWN_STRING_VALUE},
            "assumeRolePolicy": text,
        }
    )
    items = documents(engine)
    assert next(items).path == "assumeRolePolicy"
    with pytest.raises(UnknownValueError):
        next(items)


def test_path_names_the_property_within_others() -> None:
    value = document(statement(IDENTITY_PLACES[0]))
    role = {"inlinePolicies": [{"policy": "{}"}, {"policy": json.dumps(value)}]}
    assert [item.path for item in documents(role)] == ["inlinePolicies[1].policy"]


# -- whom it admits, against the second evaluator ------------------------------------------------

ROLE = f"arn:aws:iam::{THEIRS}:role/ops"
SOURCE = f"arn:aws:sns:us-east-1:{THEIRS}:topic"
CALLER = {
    "aws:principalaccount": THEIRS,
    "aws:principalarn": ROLE,
    "aws:principalorgid": "o-stranger00",
    "aws:sourceip": "198.51.100.7",
    "aws:securetransport": "true",
    "aws:useragent": "curl",
    "aws:sourcevpce": "vpce-0fffffffffffffff",
}
SERVICE = {
    "aws:sourceaccount": THEIRS,
    "aws:sourcearn": SOURCE,
    "aws:securetransport": "true",
    "aws:principalisawsservice": "true",
}
ANONYMOUS = {"aws:sourceip": "198.51.100.7", "aws:securetransport": "true", "aws:useragent": "curl"}
QUEUE = f"arn:aws:sqs:us-east-1:{OURS}:orders"
OF_STRANGERS = [
    Request("sqs:SendMessage", QUEUE, account=THEIRS, arn=ROLE, context=CALLER),
    Request("sqs:SendMessage", QUEUE, context=ANONYMOUS),
    Request("sqs:SendMessage", QUEUE, service="s3.amazonaws.com", context=SERVICE),
]

VALUES = {
    "aws:PrincipalAccount": [OURS, THEIRS, "*", "9999*", "????????????", "${aws:PrincipalAccount}"],
    "aws:SourceAccount": [OURS, THEIRS, "*"],
    "aws:PrincipalArn": [f"arn:aws:iam::{OURS}:role/a", ROLE, "arn:aws:iam::*:role/*", "*"],
    "aws:SourceArn": [
        f"arn:aws:sns:us-east-1:{OURS}:a",
        SOURCE,
        "arn:aws:s3:::reports",
        "arn:aws:sns:*:*:*",
        "*",
    ],
    "aws:PrincipalOrgID": ["o-stranger00", "o-*", "*"],
    "aws:SourceVpce": ["vpce-0123456789abcdef0", "vpce-*", "*"],
    "aws:UserAgent": ["curl", OURS, "*"],
}
OPERATORS = ["StringEquals", "StringLike", "StringNotEquals", "StringNotLike", "StringEqualsIgnoreCase"]


def _case(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from([text, text.lower(), text.upper()])


@st.composite
def conditions(draw: st.DrawFn) -> Json:
    made: Json = {}
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(sorted(VALUES)))
        operator = draw(st.sampled_from(OPERATORS))
        if key.endswith("Arn") and draw(st.booleans()):
            operator = operator.replace("String", "Arn").replace("EqualsIgnoreCase", "Equals")
        prefix = draw(st.sampled_from(["", "", "", "ForAllValues:", "ForAnyValue:"]))
        suffix = draw(st.sampled_from(["", "", "IfExists"]))
        values = draw(st.lists(st.sampled_from(VALUES[key]), min_size=1, max_size=2))
        made.setdefault(f"{prefix}{operator}{suffix}", {})[draw(_case(key))] = (
            values if len(values) > 1 or draw(st.booleans()) else values[0]
        )
    extra = draw(
        st.sampled_from(
            [{}, {}, {"Bool": {"aws:SecureTransport": "true"}}, {"Null": {"aws:PrincipalAccount": "true"}}]
        )
    )
    network = draw(
        st.sampled_from([{}, {}, {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}}])
    )
    return made | extra | network


PRINCIPALS = st.sampled_from(
    [
        {"Principal": "*"},
        {"Principal": " *"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": [OURS, " * "]}},
        {"Principal": {"AWS": OURS}},
        {"Principal": {"AWS": THEIRS}},
        {"Principal": {"AWS": [f"arn:aws:iam::{OURS}:root", ROLE]}},
        {"Principal": {"AWS": "arn:aws:iam::*:root"}},
        {"Principal": {"Service": "s3.amazonaws.com"}},
        {"Principal": {"Service": ["*.amazonaws.com"]}},
        {"NotPrincipal": {"AWS": OURS}},
        {"NotPrincipal": {"AWS": THEIRS}},
    ]
)


@st.composite
def statements(draw: st.DrawFn) -> Json:
    item: Json = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"])), **draw(PRINCIPALS)}
    action = draw(
        st.sampled_from(["sqs:SendMessage", "SQS:sendmessage", "sqs:Send*", "sqs:*", "*", "sqs:PurgeQueue"])
    )
    item["Action"] = draw(st.sampled_from([action, [action]]))
    item["Resource"] = draw(st.sampled_from([QUEUE, "*", f"{QUEUE[:-2]}??", [QUEUE, "arn:aws:sqs:a:b:c"]]))
    if draw(st.booleans()):
        item["Condition"] = draw(conditions())
    return item


@given(st.lists(statements(), min_size=1, max_size=3))
@example([{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}])
@settings(max_examples=300, deadline=None)
def test_whatever_admits_a_stranger_is_refused(items: list[Json]) -> None:
    value = document(*items)
    admitted = [request for request in OF_STRANGERS if evaluator.allows(json.dumps(value), request)]
    if admitted:
        assert list(strangers(read(value))) != [], (value, admitted)


@given(st.lists(statements(), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_whatever_is_public_admits_strangers(items: list[Json]) -> None:
    parsed = read(document(*items))
    if is_public(parsed):
        assert list(strangers(parsed)) != []


@given(
    st.sampled_from(sorted(SECURE_PRINCIPALS)),
    st.lists(statements().filter(lambda item: item["Effect"] == "Deny"), max_size=2),
)
def test_denies_make_nothing_worse(name: str, denies: list[Json]) -> None:
    secure = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": QUEUE, **SECURE_PRINCIPALS[name]}
    assert list(strangers(read(document(secure, *denies)))) == []


# -- what it allows, against the second evaluator ------------------------------------------------

PROBES = [
    Request("iam:PutRolePolicy", f"arn:aws:iam::{OURS}:role/zz-admin"),
    Request("iam:PassRole", f"arn:aws:iam::{OURS}:role/zz-admin"),
    Request("kms:Decrypt", f"arn:aws:kms:us-east-1:{OURS}:key/zz5b4a6e-0001-4f0e-9d2c-2f1f7a3b9c11"),
    Request("dynamodb:DeleteItem", f"arn:aws:dynamodb:eu-west-1:{OURS}:table/zz-ledger"),
    Request("s3:GetObject", "arn:aws:s3:::zz-customers/2026/a.csv"),
    Request("s3:PutBucketPolicy", "arn:aws:s3:::zz-customers"),
    Request("sts:AssumeRole", f"arn:aws:iam::{THEIRS}:role/zz-admin"),
    Request("organizations:LeaveOrganization", "*"),
]
_PARTS = st.sampled_from(["*", "?", "**", "?*", "or", "orders", "a", "-", "/", "${aws:userid}", "${*}"])


@st.composite
def arns(draw: st.DrawFn) -> str:
    service, region, account, kind = draw(
        st.sampled_from(
            [
                ("dynamodb", "eu-west-1", OURS, "table/"),
                ("s3", "", "", ""),
                ("iam", "", OURS, "role/"),
                ("kms", "us-east-1", OURS, "key/"),
            ]
        )
    )
    region, account = (draw(st.sampled_from([part, part, "*", "?*"])) for part in (region, account))
    kind = draw(st.sampled_from([kind, kind, kind[:2]]))
    name = "".join(draw(st.lists(_PARTS, min_size=1, max_size=4)))
    text = f"arn:aws:{service}:{region}:{account}:{kind}{name}"
    return draw(
        st.sampled_from(
            [text, text, text, "*", ":".join(text.split(":")[: draw(st.integers(3, 5))]), f" {text}"]
        )
    )


@st.composite
def actions(draw: st.DrawFn) -> str:
    probe = draw(st.sampled_from(PROBES)).action
    service, name = probe.split(":")
    at = draw(st.integers(0, len(name)))
    form = draw(
        st.sampled_from(
            [
                probe,
                f"{service}:{name[:at]}*",
                f"{service}:{name[:at]}?{name[at + 1 :]}",
                "*",
                f"{service}:*{name[at:]}",
            ]
        )
    )
    return draw(st.sampled_from([form, form.upper(), form.lower(), f" {form}"]))


@st.composite
def identity_statements(draw: st.DrawFn) -> Json:
    item: Json = {"Effect": "Allow"}
    item[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = draw(
        st.lists(actions(), min_size=1, max_size=2)
    )
    item[draw(st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]))] = draw(
        st.lists(arns(), min_size=1, max_size=2)
    )
    return item


@given(st.lists(identity_statements(), min_size=1, max_size=2))
@settings(max_examples=300, deadline=None)
def test_whatever_reaches_what_it_does_not_name_is_refused(items: list[Json]) -> None:
    value = document(*items)
    context = {"aws:userid": "zz-customers/2026/a.csv"}
    reached = [
        probe
        for probe in PROBES
        if evaluator.allows(json.dumps(value), Request(probe.action, probe.resource, context=context))
    ]
    if reached:
        assert of_documents(made(IDENTITY_PLACES[0], value)) != set(), (value, reached)


_TEXTS = st.text("ab*?", max_size=6)


@given(_TEXTS, _TEXTS, st.text("ab", max_size=6))
@settings(max_examples=1000, deadline=None)
def test_a_pattern_that_covers_another_matches_all_that_it_matches(one: str, other: str, text: str) -> None:
    matches = evaluator._glob  # pyright: ignore[reportPrivateUsage]
    assert covers(one, text) == matches(one, text)
    if covers(one, other) and matches(other, text):
        assert matches(one, text)


@pytest.mark.parametrize(
    ("pattern", "wide"),
    [
        ("s3:Get*", False),
        ("s3:GetObject", False),
        ("s3:G*", True),
        ("s3:*Object", True),
        ("s?:GetObject", True),
    ],
)
def test_action_is_wide_before_it_names_anything(pattern: str, wide: bool) -> None:
    assert is_wide_action(pattern) == wide


@pytest.mark.parametrize(
    ("pattern", "wide"),
    [
        ("arn:aws:sqs", True),
        ("arn:aws:sqs:us-east-1:123456789012:orders", False),
        ("arn:aws:sqs:*:*:orders", False),
        ("arn:aws:iam::123456789012:role/service-role/*", False),
        ("arn:aws:iam::123456789012:r*", True),
        ("arn:aws:s3:::${*}reports", False),
        ("arn:aws:s3:::${aws:userid}", True),
    ],
)
def test_resource_is_wide_before_it_names_anything(pattern: str, wide: bool) -> None:
    assert is_wide_resource(pattern) == wide


# -- ours ----------------------------------------------------------------------------------------

ALL = {
    "accounts": [OURS],
    "organization": "o-ours000000",
    "partners": [f"arn:aws:iam::{THEIRS}:role/auditor"],
    "networks": ["203.0.113.0/24"],
    "identityProviders": {"token.actions.githubusercontent.com": ["repo:example/trading:*"]},
    "managedPolicies": [],
}


@pytest.mark.parametrize(
    "principal",
    [
        {"Principal": {"AWS": f"arn:aws:iam::{THEIRS}:role/auditor"}},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-ours000000"}}},
        {
            "Principal": "*",
            "Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-ours000000/r-ab12/*"}},
        },
        {"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": ["203.0.113.0/25"]}}},
        {
            "Principal": {
                "Federated": f"arn:aws:iam::{OURS}:oidc-provider/token.actions.githubusercontent.com"
            },
            "Condition": {
                "StringLike": {
                    "token.actions.githubusercontent.com:sub": "repo:example/trading:ref:refs/heads/*"
                }
            },
        },
        {
            "Principal": {"Federated": f"arn:aws:iam::{OURS}:saml-provider/okta"},
            "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
        },
    ],
)
def test_who_is_named_as_ours_is_admitted(principal: Json) -> None:
    value = read(document({"Effect": "Allow", "Action": "sts:AssumeRole", **principal}))
    assert list(strangers(value, Ours.model_validate(ALL))) == []


@pytest.mark.parametrize(
    "change",
    [
        {"accounts": []},
        {"accounts": ["*"]},
        {"accounts": ["12345"]},
        {"organization": "o-*"},
        {"partners": ["*"]},
        {"partners": ["arn:aws:iam::*:role/a"]},
        {"partners": [f"arn:aws:iam::{THEIRS}:*"]},
        {"networks": ["0.0.0.0/0"]},
        {"networks": ["10.0.0.0/8"]},
        {"identityProviders": {"token.actions.githubusercontent.com": ["*"]}},
        {"managedPolicies": ["arn:aws:iam::aws:policy/*"]},
        {"networking": []},
    ],
)
def test_settings_that_would_admit_everyone_are_refused(change: Json, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(yaml.safe_dump(ALL))
    ours.load(file)
    file.write_text(yaml.safe_dump({**ALL, **change}))
    with pytest.raises(ValidationError):
        ours.load(file)


def test_listed_policies_of_aws_let_nobody_gain_more_permissions() -> None:
    known: dict[str, Any] = json.loads(aws_managed_policies_data)
    for arn in SETTINGS.managed_policies:
        if ":iam::" in arn:
            (parsed,) = documents(known[arn.rsplit("/", 1)[-1]])
            allowed = [action for item in parsed.allowed for action in item.actions]
            assert not any(covers(action, way) for action in allowed for way in ESCALATING), arn
