"""A stack has only types that a rule checks, or that `policy/types.yaml` names with a reason."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from policy import places, types
from policy.rule import Resource, Rule
from policy.rules import RULES, known
from policy.rules.known import CHECKED, ENTRIES, type_is_known
from policy.types import TypeEntry, TypesError, canonical, carries_others
from sandbox import tools
from tests.account import bootstrap
from tests.policy import aliases
from tests.policy.stacks import stack_of
from tests.policy.states import whole
from tests.policy.test_rules import CASES, judge, resource
from tests.unit.harness import STACKS

OTHERS = aliases.other_tokens()


def at(place: str, *, is_component: bool = False) -> Resource:
    """A resource at a place of a stack."""
    it = resource(places.type_of(place), name=place.rsplit("::", 1)[-1])
    return replace(it, urn=f"urn:pulumi:dev::trading::{place}", is_component=is_component)


def refused(it: Resource) -> str:
    return "".join(type_is_known.check(it))


def test_aliases_are_those_of_the_installed_sdks() -> None:
    assert aliases.PAGE.read_text() == aliases.render(), "the SDKs have changed: make golden"


@pytest.mark.parametrize(
    ("other", "token"),
    [
        ("aws:s3/bucketV2:BucketV2", "aws:s3/bucket:Bucket"),
        ("aws:alb/listener:Listener", "aws:lb/listener:Listener"),
        ("aws:elasticloadbalancingv2/loadBalancer:LoadBalancer", "aws:lb/loadBalancer:LoadBalancer"),
        ("kubernetes:extensions/v1beta1:Deployment", "kubernetes:apps/v1:Deployment"),
        ("kubernetes:batch/v1beta1:CronJob", "kubernetes:batch/v1:CronJob"),
        ("aws:iam/role:Role", "aws:iam/role:Role"),
    ],
)
def test_tokens_of_one_type_are_one(other: str, token: str) -> None:
    assert resource(other).type == token


def _by_other_tokens() -> Iterator[tuple[str, str]]:
    for name, case in CASES.items():
        yield from ((name, other) for other in OTHERS.get(case.bad[0].type, ()))


@pytest.mark.parametrize(("name", "other"), _by_other_tokens())
def test_rule_holds_for_every_token_of_a_type(name: str, other: str) -> None:
    first, *more = CASES[name].bad
    assert CASES[name].says in "\n".join(judge(name, [replace(first, type=other), *more]))


def _sdk_types() -> list[str]:
    with sqlite3.connect(f"{tools.schemas().as_uri()}?mode=ro", uri=True) as database:
        return [token for (token,) in database.execute("SELECT token FROM resource")]


def test_every_type_of_the_sdks_without_rule_and_entry_is_refused() -> None:
    named = {type_ for entry in ENTRIES for type_ in entry.types}
    unknown = [token for token in _sdk_types() if canonical(token) not in CHECKED | named]
    passed = [token for token in unknown if not refused(at(f"{token}::anything"))]
    assert passed == []
    assert len(unknown) > 1500


@pytest.mark.parametrize(
    "token",
    [
        "aws-native:s3:Bucket",
        "aws:cloudcontrol/resource:Resource",
        "aws:cloudformation/stack:Stack",
        "aws:cloudformation/stackSet:StackSet",
        "aws:serverlessrepository/cloudFormationStack:CloudFormationStack",
        "aws:servicecatalog/provisionedProduct:ProvisionedProduct",
        "aws:ssm/document:Document",
        "command:local:Command",
        "command:remote:Command",
        "docker-build:index:Image",
        "kubernetes:helm.sh/v3:Chart",
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:kustomize/v2:Directory",
        "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:yaml/v2:ConfigGroup",
        "kubernetes:yaml:ConfigFile",
        "pulumi-nodejs:dynamic:Resource",
        "pulumi-python:dynamic:Resource",
        "terraform:state:RemoteStateReference",
    ],
)
def test_carrier_is_refused_and_the_text_says_what_the_entry_needs(token: str) -> None:
    problem = refused(at(f"{token}::anything"))
    assert problem.startswith(f"{token} carries resources or code which no rule sees")
    assert f"types, resources (the places of those that are right, here {token}::anything), reason" in problem


@pytest.mark.parametrize(
    "token",
    [
        "aws:lambda/functionUrl:FunctionUrl",
        "aws:ec2/instance:Instance",
        "aws:invented/thing:Thing",
        "pulumi:providers:command",
        "pulumi:pulumi:StackReference",
        "kubernetes:rbac.authorization.k8s.io/v1:Other",
        "trading:index:Thing",
    ],
)
def test_unknown_type_is_refused_and_the_text_says_what_the_entry_needs(token: str) -> None:
    problem = refused(at(f"{token}::anything"))
    assert problem.startswith(f"no rule checks {token}: write a rule")
    assert "policy/types.yaml with types, reason (why no setting of it opens access" in problem


def test_carrier_is_accepted_only_at_the_place_that_an_entry_names() -> None:
    place = "trading:tier:Autoscaler$kubernetes:helm.sh/v3:Release::autoscaler-eu-west-1-keda"
    assert refused(at(place)) == ""
    assert refused(at(place.replace("autoscaler-", "other-")))
    assert refused(at(place.replace("Autoscaler", "Cluster")))
    assert refused(at("kubernetes:helm.sh/v3:Release::autoscaler-eu-west-1-keda"))


def test_entry_for_components_covers_nothing_that_a_provider_creates() -> None:
    assert refused(at("trading:tier:Cache::cache", is_component=True)) == ""
    assert "no rule checks trading:tier:Cache" in refused(at("trading:tier:Cache::cache"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.types[0])
def test_every_entry_is_needed(entry: TypeEntry) -> None:
    resources = [it for stack in STACKS for it in whole(stack).resources]
    resources += stack_of(bootstrap.graph()).resources
    used = [it.type for it in resources if known.entry_of(it) is entry]
    # The mocks have no default providers, no fixture stack has a service with secrets, and the account's
    # stack file caches no images.
    unseen = [
        *("pulumi:providers:*", "kubernetes:secrets-store.csi.x-k8s.io/v1:SecretProviderClass"),
        "aws:ecr/pullThroughCacheRule:PullThroughCacheRule",
    ]
    for token in entry.types:
        assert any(fnmatchcase(type_, token) for type_ in used) or any(
            fnmatchcase(token, pattern) for pattern in unseen
        ), f"no stack has {token}: delete it"
        assert token not in CHECKED or carries_others(token), f"a rule checks {token}: delete it"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"types": []}, "types[0].types: "),
        (
            {"types": ["aws:iam/*"]},
            "aws:iam/*: name one type; only a component's token can end with :*",
        ),
        ({"types": ["trading:*"]}, "types[0]: trading:*: name one type"),
        ({"types": ["*"], "components": True}, "types[0]: *: name one type"),
        ({"types": ["command:local:Command"]}, "types[0]: command:local:Command carries resources or code"),
        (
            {"types": ["aws:alb/listener:Listener"]},
            "is another token of aws:lb/listener:Listener",
        ),
        ({"reason": "because"}, "types[0].reason: "),
        ({"owner": ""}, "types[0].owner: "),
        ({"resources": ["*"]}, "'*' is not a place: write the types of the parents"),
        ({"resources": ["a:b:C$*::name"]}, "has a wildcard in the types: name them"),
        ({"resources": ["a:b:C::*"]}, "holds for nearly every name: give at least 3 letters"),
        ({"resources": ["a:b:C::[a-zA-Z]?*"]}, "holds for nearly every name"),
        ({"rule": "x"}, "types[0].rule: "),
    ],
)
def test_wrong_entry_is_named(tmp_path: Path, change: dict[str, object], error: str) -> None:
    right = {"types": ["aws:ec2/eip:Eip"], "reason": "there is a good reason for it", "owner": "team"}
    path = tmp_path / "types.yaml"
    path.write_text(yaml.safe_dump({"types": [{**right, **change}]}))
    with pytest.raises(TypesError) as raised:
        types.load(path)
    assert error in str(raised.value)


def test_rule_about_types_is_one_of_the_rules() -> None:
    assert isinstance(type_is_known, Rule)
    assert type_is_known in RULES
