"""The project that prepares an account: exact access, protected state, and nothing that the rules refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from account import authorization, prepared
from account.permissions import needed, schema_actions
from bootstrap import config
from bootstrap.config import BootstrapSettings, DeployerError, deployer
from bootstrap.linked_roles import LINKED_ROLES, UNPREPARED
from policy.ours import OURS
from sandbox.aws.account import (
    ALIAS,
    BUCKET,
    CACHE_RULE,
    IDENTITY_PROVIDER,
    KEY,
    POLICY,
    SERVICE_LINKED_ROLE,
    Account,
    Values,
)
from sandbox.aws.store import Row
from settings import SettingsError
from settings.aws_limits import MANAGED_POLICIES, ROLE_POLICIES_LENGTH
from tests.account.bootstrap import (
    KEY_ID,
    PROJECT,
    STACK,
    bucket,
    deployed,
    existing,
    graph,
    key,
    own,
    policies,
)
from tests.account.bootstrap import role as row_of_role
from tests.policy.evaluator import Request, allows
from tests.policy.stacks import findings, stack_of
from tests.policy.states import fixture_state
from tests.unit.harness import ROOT, STACKS, Registered, config_of, without_namespace
from tests.unit.test_iam import parliament

WORKFLOWS = ROOT / ".github" / "workflows"
ROLES = "aws:iam/role:Role"
SECRET = "arn:aws:secretsmanager:{}:123456789012:secret:ecr-pullthroughcache/ghcr-a1b2c3"


def values(**changed: Any) -> Values:
    found = without_namespace(config_of(STACK))
    return {key: value for key, value in {**found, **changed}.items() if value is not None}


def document(resource: Registered, name: str = "policy") -> Any:
    return json.loads(resource.inputs[name])


def role(kind: str, stack: str) -> Registered:
    return graph().named(f"pipelines-{kind}-{stack}", ROLES)


# -- the roles of the pipelines ----------------------------------------------------------------------


def environments() -> dict[str, set[str]]:
    """Kind of a role → the environments of the workflows' jobs that assume it."""
    text = "\n".join(path.read_text() for path in sorted(WORKFLOWS.glob("*.yaml")))
    used = re.findall(r"^    environment: (\S+(?: \}\})?(?:.*\}\})?)$", text, re.MULTILINE)
    assert used
    names = {
        re.sub(r"\$\{\{.*?\}\}", stack, name.replace(" ", "")) for name in used for stack in ("dev", "prod")
    }
    return {
        "deploy": names & {"dev", "prod"},
        "preview": {name for name in names if name.startswith("preview-")},
        "read": {name for name in names if name.startswith("read-")},
    }


def test_roles_trust_exactly_the_environments_of_the_workflows() -> None:
    for kind, wanted in environments().items():
        subjects: set[str] = set()
        for stack in ("dev", "prod"):
            (statement,) = document(role(kind, stack), "assumeRolePolicy")["Statement"]
            (condition,) = statement["Condition"].items()
            assert condition[0] == "StringEquals", "no wildcards"
            assert condition[1][f"{prepared.ISSUER}:aud"] == "sts.amazonaws.com"
            subjects.add(condition[1][f"{prepared.ISSUER}:sub"])
        assert subjects == {f"repo:example/trading:environment:{name}" for name in wanted}


def test_sessions_are_as_long_as_the_workflows_ask_for_and_no_longer() -> None:
    action = yaml.safe_load((ROOT / ".github/actions/pulumi/action.yaml").read_text())
    default = int(action["inputs"]["session-seconds"]["default"])
    deploy = yaml.safe_load((WORKFLOWS / "deploy.yaml").read_text())["jobs"]
    for stack in ("dev", "prod"):
        (step,) = (
            item["with"] for item in deploy[stack]["steps"] if item.get("uses") == "./.github/actions/pulumi"
        )
        assert role("deploy", stack).inputs["maxSessionDuration"] == int(step["session-seconds"])
        for kind in ("preview", "read"):
            assert role(kind, stack).inputs["maxSessionDuration"] == default


def test_roles_have_the_generated_policies_within_the_limits_of_iam() -> None:
    for kind in prepared.ENVIRONMENTS:
        attached = [
            item
            for item in graph().of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
            if item.name.startswith(f"pipelines-{kind}-prod-")
        ]
        assert 0 < len(attached) <= MANAGED_POLICIES
        inline = graph().named(f"pipelines-{kind}-prod-state", "aws:iam/rolePolicy:RolePolicy")
        assert len(json.dumps(document(inline), separators=(",", ":"))) <= ROLE_POLICIES_LENGTH
        assert role(kind, "prod").inputs["permissionsBoundary"].endswith(f":policy/{prepared.BOUNDARY}")


def allowed(kind: str) -> set[str]:
    """Every action that a role allows."""
    granted = [
        item
        for token in ("aws:iam/policy:Policy", "aws:iam/rolePolicy:RolePolicy")
        for item in graph().of(token)
        if item.name.startswith(f"pipelines-{kind}-prod-")
    ]
    return {
        action
        for item in granted
        for statement in document(item)["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def test_previews_only_read_and_only_a_refresh_reads_secrets() -> None:
    for kind in ("preview", "read"):
        writes = {
            name
            for name in allowed(kind)
            if not re.match(r"\w[\w-]*:(Get|List|Describe|Lookup|Search|Simulate|BatchGet|View)", name)
        }
        assert writes <= {"kms:Decrypt", "apigateway:GET"}, kind
    assert "secretsmanager:GetSecretValue" not in allowed("preview")
    assert "secretsmanager:GetSecretValue" in allowed("read")
    assert "s3:PutObject" in allowed("deploy")


def test_role_reaches_only_the_state_and_the_secrets_of_its_stack() -> None:
    keys = {
        stack: graph().named(f"state-secrets-{stack}", "aws:kms/key:Key").outputs["arn"]
        for stack in ("dev", "prod")
    }
    for kind in prepared.ENVIRONMENTS:
        text = json.dumps(
            document(graph().named(f"pipelines-{kind}-dev-state", "aws:iam/rolePolicy:RolePolicy"))
        )
        assert keys["dev"] in text
        assert keys["prod"] not in text
        assert "prod" not in text
        assert ("locks/organization/trading/dev/" in text) == (kind == "deploy")


KEYS_OF_STATES = {
    prepared.STATE_ALIAS: "state",
    prepared.secrets_alias("dev"): "state-secrets-dev",
    prepared.secrets_alias("prod"): "state-secrets-prod",
    prepared.secrets_alias("account"): "state-secrets-account",
}
"""Alias → name of the key."""


def test_keys_of_states_are_only_used_even_with_the_tag_of_the_stack() -> None:
    """Whoever could tag them could otherwise delete them, or read what others encrypt with them."""
    granted = [
        statement
        for token in (POLICY, "aws:iam/rolePolicy:RolePolicy")
        for item in graph().of(token)
        if item.name.startswith("pipelines-deploy-dev-")
        for statement in document(item)["Statement"]
    ]
    boundary = document(graph().named("pipelines-boundary"))["Statement"]
    actions = [action.name for name, action in authorization.actions().items() if name.startswith("kms:")]
    used: dict[str, set[str]] = {}
    for alias, name in KEYS_OF_STATES.items():
        arn = graph().named(name, KEY).outputs["arn"]
        context = {
            "kms:resourcealiases": alias,
            "aws:resourcetag/platform": "trading-full",
            "aws:requesttag/platform": "trading-full",
        }
        used[alias] = {
            action
            for action in actions
            if all(
                allows(json.dumps({"Statement": it}), Request(action, arn, context=context))
                for it in (granted, boundary)
            )
        }
    assert used == {
        **{alias: set[str]() for alias in KEYS_OF_STATES},
        prepared.STATE_ALIAS: {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"},
        prepared.secrets_alias("dev"): {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"},
    }
    for alias in KEYS_OF_STATES:
        arn = f"arn:aws:kms:us-east-1:123456789012:{alias}"
        for action in ("kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"):
            assert not allows(json.dumps({"Statement": boundary}), Request(action, arn)), alias


def test_linter_is_content_with_the_roles_own_policies() -> None:
    for item in graph().of("aws:iam/rolePolicy:RolePolicy"):
        found = parliament.analyze_policy_string(item.inputs["policy"]).findings
        # parliament's data names the key for a few operations only.
        assert [it.issue for it in found if "condition kms:ResourceAliases" not in str(it.detail)] == []


def test_boundary_protects_what_the_project_prepares() -> None:
    denied = [
        it for it in document(graph().named("pipelines-boundary"))["Statement"] if it["Effect"] == "Deny"
    ]
    resources = [
        text for statement in denied for text in statement["Resource"] if statement["Resource"] != "*"
    ]
    for kind in prepared.ENVIRONMENTS:
        assert f"arn:aws:iam::123456789012:role/trading-{kind}-*" in resources
    assert "arn:aws:iam::123456789012:policy/trading-*" in resources


def evaluated(statements: list[Any], action: str, **context: str) -> bool:
    request = Request(action, "arn:aws:iam::123456789012:role/any-1234567", context=context)
    return allows(json.dumps({"Statement": statements}), request)


def test_pipelines_create_only_roles_with_the_boundary_of_workloads() -> None:
    statements = document(graph().named("pipelines-boundary"))["Statement"]
    limit = prepared.workloads_arn("123456789012")
    assert graph().named("pipelines-workloads").outputs["arn"] == limit
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"):
        assert evaluated(statements, action, **{"iam:permissionsboundary": limit})
        assert not evaluated(statements, action)
        assert not evaluated(statements, action, **{"iam:permissionsboundary": f"{limit}-2"})
    assert not evaluated(
        statements, "iam:DeleteRolePermissionsBoundary", **{"iam:permissionsboundary": limit}
    )
    assert evaluated(statements, "iam:DeleteRole")


# -- the state ---------------------------------------------------------------------------------------


def test_state_is_private_versioned_logged_and_encrypted_with_our_key() -> None:
    bucket = graph().named("state", "aws:s3/bucket:Bucket")
    assert bucket.inputs["bucket"] == "trading-state-123456789012-us-east-1"
    assert bucket.protect
    key = graph().named("state", "aws:kms/key:Key")
    assert key.protect
    assert key.inputs["enableKeyRotation"]
    encryption = graph().named(
        "state", "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    )
    assert key.outputs["arn"] in json.dumps(encryption.inputs)
    versioning = graph().named("state", "aws:s3/bucketVersioning:BucketVersioning")
    assert versioning.inputs["versioningConfiguration"] == {"status": "Enabled"}
    logging = graph().named("state", "aws:s3/bucketLogging:BucketLogging").inputs
    assert logging["targetBucket"] == f"{bucket.inputs['bucket']}-logs"
    lifecycle = graph().named("state", "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration")
    assert "expiration" not in json.dumps([*lifecycle.inputs["rules"]]), "a state never expires"
    for name in ("state", "state-logs"):
        policy = document(graph().named(name, "aws:s3/bucketPolicy:BucketPolicy"))
        assert {"Bool": {"aws:SecureTransport": "false"}} in [
            it.get("Condition") for it in policy["Statement"]
        ]
        assert all(
            value is True
            for key_, value in graph()
            .named(name, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock")
            .inputs.items()
            if key_ != "bucket"
        )


def test_rules_accept_the_project() -> None:
    assert findings(stack_of(graph())) == []


def test_deployers_table_covers_every_type() -> None:
    assert needed(item.type for item in graph().resources)


# -- what exists already -----------------------------------------------------------------------------


def provider(*audiences: str) -> Row:
    arn = f"arn:aws:iam::123456789012:oidc-provider/{prepared.ISSUER}"
    return existing(
        IDENTITY_PROVIDER, arn, arn, {"url": f"https://{prepared.ISSUER}", "clientIdLists": [*audiences]}
    )


def test_audiences_of_others_are_kept() -> None:
    found = deployed({}, Account((provider("https://github.com/example"),)))
    mine = found.only(IDENTITY_PROVIDER)
    assert mine.inputs["clientIdLists"] == ["https://github.com/example", "sts.amazonaws.com"]
    assert mine.retain_on_delete


def test_cache_of_another_registry_is_not_replaced() -> None:
    rule = existing(
        CACHE_RULE, "quay", "", {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "registry.k8s.io"}
    )
    with pytest.raises(
        SystemExit, match=r"imageCache.quay: the account caches registry.k8s.io .*choose another"
    ):
        deployed({"trading:imageCache": {"quay": {"registry": "quay.io"}}}, Account((rule,)))


def test_what_has_the_projects_own_names_is_taken_over() -> None:
    found = deployed({}, Account(tuple(own())))
    imported = {(item.type, item.import_id) for item in found.resources if item.import_id}
    assert imported == {
        (row.type, row.id) for row in own() if row.type in {BUCKET, KEY, ALIAS, ROLES, POLICY}
    }
    assert not any(item.import_id for item in graph().resources), "an empty account has nothing to take over"


def test_policies_keep_their_description_which_iam_cannot_change() -> None:
    assert all("description" in item.ignore_changes for item in graph().of(POLICY))


def test_key_outlives_an_alias_that_somebody_points_at_another_key() -> None:
    keys = [item for item in graph().of(KEY) if item.name.startswith("state")]
    assert len(keys) == 4
    assert all(item.retain_on_delete and item.protect for item in keys)
    unprotected = deployed({"trading:protect": False})
    assert not any(item.retain_on_delete for item in unprotected.of(KEY)), "they go with the stack"


STATES = prepared.state_bucket("123456789012", "us-east-1")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [bucket(STATES, owner="210987654321")],
            f"the bucket {STATES} exists, but not in us-east-1 of this account, or you may not read it "
            r"\(.*MethodNotAllowed.*\): delete it if it is yours, or begin trading:regions with another",
        ),
        (
            [bucket(f"{STATES}-logs", bucketRegion="eu-west-1")],
            f"the bucket {STATES}-logs exists in eu-west-1 and not in us-east-1: delete it",
        ),
        (
            key(prepared.STATE_ALIAS, keyState="PendingDeletion"),
            f"{prepared.STATE_ALIAS} exists, and its key {KEY_ID} has the state PendingDeletion: cancel its "
            rf"deletion \(`aws kms cancel-key-deletion --key-id {KEY_ID}`\), or delete the alias",
        ),
        (
            key(prepared.secrets_alias("dev"), customerMasterKeySpec="RSA_2048"),
            f"{KEY_ID} is of the kind RSA_2048, ENCRYPT_DECRYPT, AWS_KMS and not SYMMETRIC_DEFAULT, .*delete",
        ),
        (
            [row_of_role(prepared.role_name("read", "prod"), "/people/")],
            "the role trading-read-prod exists with the path /people/, .*delete it",
        ),
    ],
)
def test_what_cannot_be_taken_over_is_named(rows: Sequence[Row], problem: str) -> None:
    with pytest.raises(SystemExit, match=f"error: .*{problem}"):
        deployed({}, Account(tuple(rows)))


def test_account_wide_things_outlive_the_stack() -> None:
    kept = {
        *("aws:apigateway/account:Account", "aws:backup/regionSettings:RegionSettings", SERVICE_LINKED_ROLE),
        *("aws:ebs/defaultKmsKey:DefaultKmsKey", "aws:ebs/encryptionByDefault:EncryptionByDefault"),
        *(IDENTITY_PROVIDER, CACHE_RULE),
    }
    found = deployed({"trading:imageCache": {"quay": {"registry": "quay.io"}}})
    assert {item.type for item in found.resources if item.retain_on_delete} >= kept


# -- service-linked roles ----------------------------------------------------------------------------


def test_every_service_that_needs_a_role_of_its_own_has_one() -> None:
    """AWS's schemas name the permission to create a service-linked role for the types that need one."""
    state = [item for stack in STACKS for item in fixture_state(stack)]
    used = {item["type"] for item in state}
    asking = {
        token
        for token in used
        if token.startswith("aws:") and "iam:CreateServiceLinkedRole" in schema_actions(token)
    }
    prepared_types = {token for it in LINKED_ROLES.values() for token in it.types}
    assert asking == prepared_types | set(UNPREPARED)
    assert not prepared_types & set(UNPREPARED)


def test_every_kind_of_automatic_scaling_has_its_role() -> None:
    namespaces = {
        item["inputs"]["serviceNamespace"]
        for stack in STACKS
        for item in fixture_state(stack)
        if item["type"] == "aws:appautoscaling/target:Target"
    }
    ending = ".application-autoscaling.amazonaws.com"
    assert {name.removesuffix(ending) for name in LINKED_ROLES if name.endswith(ending)} == namespaces


def test_roles_of_all_these_services_are_created() -> None:
    created = {item.inputs["awsServiceName"] for item in graph().of(SERVICE_LINKED_ROLE)}
    assert created == set(LINKED_ROLES)
    assert all(it.source for it in LINKED_ROLES.values())


# -- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"account": "111122223333"}, "trading:account: .*not in `accounts` of policy/ours.yaml"),
        ({"account": 12}, "trading:account"),
        ({"regions": ["us-east-1", "us-east-1"]}, "region us-east-1 is given twice"),
        ({"regions": []}, "trading:regions"),
        ({"regions": ["mars-1"]}, "trading:regions"),
        ({"stacks": ["dev", "dev"]}, "stack dev is given twice"),
        ({"stacks": ["account"]}, "the name of this project's own stack"),
        ({"repository": "trading"}, "trading:repository: .*such as example/trading"),
        ({"tags": {"owner": "me"}}, "trading:tags: must contain cost-center"),
        ({"imageCache": {"ghcr": {"registry": "ghcr.io"}}}, "must have a secret in eu-west-1: ghcr.io"),
        ({"imageCache": {"x": {"registry": "example.com"}}}, "example.com must be one of public.ecr.aws"),
        (
            {
                "imageCache": {
                    "ghcr": {"registry": "ghcr.io", "credentials": {"eu-west-1": SECRET.format("us-east-1")}}
                }
            },
            "must be in eu-west-1",
        ),
        ({"repositry": "a/b"}, "unknown key .*did you mean repository?"),
        ({"stacks": None}, "trading:stacks: is required"),
    ],
)
def test_wrong_setting_is_named(changed: Values, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        BootstrapSettings.parse(values(**changed))


def test_settings_of_the_stack_file_are_right() -> None:
    assert BootstrapSettings.parse(values()).home == "us-east-1"
    subjects = OURS.identity_providers[prepared.ISSUER]
    wanted = [
        prepared.subject(kind, stack, values()["repository"])
        for kind in prepared.ENVIRONMENTS
        for stack in values()["stacks"]
    ]
    assert sorted(subjects) == sorted(wanted), "policy/ours.yaml lists the subjects of the same repository"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            None,
            "dev.json is missing in bootstrap/deployer: write it with `make deployer-policy STACK=dev OUT=",
        ),
        ("[]", "dev.json is not the output of the command"),
        ('{"policies": []}', "dev.json is not the output of the command"),
        (
            json.dumps({"policies": [{}] * 11, "reads": [], "sensitive": []}),
            "deploy has 11 policies, and a role",
        ),
        (json.dumps({"policies": ["x" * 6143], "reads": [], "sensitive": []}), "exceeds 6144 characters"),
    ],
)
def test_wrong_policies_are_named(
    text: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "DEPLOYER", tmp_path)
    if text is not None:
        (tmp_path / "dev.json").write_text(text)
    with pytest.raises(DeployerError, match=re.escape(problem)):
        deployer("dev")


def test_written_policies_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEPLOYER", tmp_path)
    (tmp_path / "dev.json").write_text(policies("small"))
    assert {kind: len(found) > 0 for kind, found in deployer("dev").items()} == dict.fromkeys(
        prepared.ENVIRONMENTS, True
    )


def test_project_runs_in_the_same_environment_as_the_platform() -> None:
    ours, platform = (yaml.safe_load((folder / "Pulumi.yaml").read_text()) for folder in (PROJECT, ROOT))
    assert ours["runtime"]["options"]["virtualenv"] == f"../{platform['runtime']['options']['virtualenv']}"
