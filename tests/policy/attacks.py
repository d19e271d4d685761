"""Attacks on the rules about policy documents: generated from secure resources, and counted by kind.

`python -m tests.policy.attacks` prints how many the rules refuse, and with `--before <commit>` how many the
rules of that commit refused. A resource counts as refused if it has a finding that its secure original
lacks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from policy.rule import SECRET, Resource, Stack
from policy.rules import RULES, STACK_RULES

ROOT = Path(__file__).resolve().parents[2]
OURS = "123456789012"
THEIRS = "999999999999"
KEY = f"arn:aws:kms:us-east-1:{OURS}:key/0c5b4a6e-0001-4f0e-9d2c-2f1f7a3b9c11"

Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A property that holds a policy document."""

    type: str
    path: str
    """Such as `inlinePolicies[].policy`, or `body` for an OpenAPI document."""
    action: str = ""
    resource: str = ""

    def holding(self, value: Any) -> Json:
        """The resource's properties with a document, as text or as an object."""
        if self.path == "body":
            return {"body": json.dumps({"openapi": "3.0.1", "x-amazon-apigateway-policy": value})}
        made = value
        for name in reversed(self.path.split(".")):
            made = {name.removesuffix("[]"): [made] if name.endswith("[]") else made}
        return made


@dataclass(frozen=True)
class Attack:
    """An insecure resource, and the secure one that it was made from."""

    kind: str
    name: str
    resource: Resource
    original: Resource


def _places(action: str, resource: str, *places: tuple[str, str]) -> list[Place]:
    return [Place(type_, path, action, resource) for type_, path in places]


RESOURCE_PLACES = [
    *_places(
        "s3:GetObject",
        "arn:aws:s3:::reports/*",
        ("aws:s3/bucketPolicy:BucketPolicy", "policy"),
        ("aws:s3/accessPoint:AccessPoint", "policy"),
        ("aws:s3control/accessPointPolicy:AccessPointPolicy", "policy"),
        ("aws:s3control/multiRegionAccessPointPolicy:MultiRegionAccessPointPolicy", "details.policy"),
        ("aws:s3tables/tableBucketPolicy:TableBucketPolicy", "resourcePolicy"),
    ),
    *_places(
        "sns:Publish",
        f"arn:aws:sns:us-east-1:{OURS}:alarms",
        ("aws:sns/topicPolicy:TopicPolicy", "policy"),
        ("aws:sns/topic:Topic", "policy"),
    ),
    *_places(
        "sqs:SendMessage",
        f"arn:aws:sqs:us-east-1:{OURS}:orders",
        ("aws:sqs/queuePolicy:QueuePolicy", "policy"),
        ("aws:sqs/queue:Queue", "policy"),
    ),
    *_places(
        "kms:Decrypt",
        "*",
        ("aws:kms/key:Key", "policy"),
        ("aws:kms/keyPolicy:KeyPolicy", "policy"),
        ("aws:kms/replicaKey:ReplicaKey", "policy"),
        ("aws:kms/externalKey:ExternalKey", "policy"),
    ),
    *_places(
        "secretsmanager:GetSecretValue",
        "*",
        ("aws:secretsmanager/secretPolicy:SecretPolicy", "policy"),
        ("aws:secretsmanager/secret:Secret", "policy"),
    ),
    *_places(
        "execute-api:Invoke",
        "execute-api:/*",
        ("aws:apigateway/restApi:RestApi", "policy"),
        ("aws:apigateway/restApi:RestApi", "body"),
        ("aws:apigateway/restApiPolicy:RestApiPolicy", "policy"),
        ("aws:apigateway/domainName:DomainName", "policy"),
    ),
    *_places(
        "logs:PutLogEvents",
        f"arn:aws:logs:us-east-1:{OURS}:log-group:orders:*",
        ("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", "policyDocument"),
        ("aws:cloudwatch/logDestinationPolicy:LogDestinationPolicy", "accessPolicy"),
    ),
    Place("aws:cloudwatch/eventBusPolicy:EventBusPolicy", "policy", "events:PutEvents", "*"),
    Place("aws:backup/vaultPolicy:VaultPolicy", "policy", "backup:CopyIntoBackupVault", "*"),
    Place("aws:ecr/repositoryPolicy:RepositoryPolicy", "policy", "ecr:BatchGetImage"),
    Place("aws:dynamodb/resourcePolicy:ResourcePolicy", "policy", "dynamodb:GetItem", "*"),
    Place("aws:kinesis/resourcePolicy:ResourcePolicy", "policy", "kinesis:PutRecord", "*"),
    Place("aws:lambda/resourcePolicy:ResourcePolicy", "policy", "lambda:InvokeFunction", "*"),
    Place("aws:opensearch/domain:Domain", "accessPolicies", "es:ESHttpGet", "*"),
    Place("aws:efs/fileSystemPolicy:FileSystemPolicy", "policy", "elasticfilesystem:ClientMount", "*"),
    Place("aws:glacier/vault:Vault", "accessPolicy", "glacier:InitiateJob", "*"),
    Place("aws:msk/clusterPolicy:ClusterPolicy", "policy", "kafka:CreateVpcConnection", "*"),
    Place("aws:vpclattice/authPolicy:AuthPolicy", "policy", "vpc-lattice-svcs:Invoke", "*"),
    Place("aws:sesv2/emailIdentityPolicy:EmailIdentityPolicy", "policy", "ses:SendEmail", "*"),
    Place("aws:amp/resourcePolicy:ResourcePolicy", "policyDocument", "aps:QueryMetrics", "*"),
    Place("aws:glue/resourcePolicy:ResourcePolicy", "policy", "glue:GetTable", "*"),
]
"""Where policies of resources stand."""

TRUST = Place("aws:iam/role:Role", "assumeRolePolicy", "sts:AssumeRole")

IDENTITY_PLACES = _places(
    "dynamodb:GetItem",
    f"arn:aws:dynamodb:us-east-1:{OURS}:table/orders",
    ("aws:iam/rolePolicy:RolePolicy", "policy"),
    ("aws:iam/policy:Policy", "policy"),
    ("aws:iam/role:Role", "inlinePolicies[].policy"),
    ("aws:iam/groupPolicy:GroupPolicy", "policy"),
    ("aws:iam/userPolicy:UserPolicy", "policy"),
    ("aws:ssoadmin/permissionSetInlinePolicy:PermissionSetInlinePolicy", "inlinePolicy"),
)
"""Where policies of identities stand."""

ENDPOINT_PLACES = _places(
    "s3:GetObject",
    "arn:aws:s3:::reports/*",
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "policy"),
    ("aws:ec2/vpcEndpointPolicy:VpcEndpointPolicy", "policy"),
)

CONDITIONS_OF_EVERYBODY: Mapping[str, Json] = {
    "TLS": {"Bool": {"aws:SecureTransport": "true"}},
    "any source": {"StringLike": {"aws:SourceArn": "*"}},
    "any ARN": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}},
    "any account": {"StringLike": {"aws:PrincipalAccount": "????????????"}},
    "not one account": {"StringNotEquals": {"aws:PrincipalAccount": "111122223333"}},
    "if it exists": {"StringEqualsIfExists": {"aws:PrincipalAccount": OURS}},
    "for all values": {"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-aaaaaaaaaa"}},
    "no key": {"Null": {"aws:PrincipalAccount": "false"}},
    "user agent": {"StringEquals": {"aws:UserAgent": OURS}},
    "referer": {"StringLike": {"aws:Referer": "https://trade.example.com/*"}},
    "the internet": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
    "half the internet": {"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}},
    "another network": {"IpAddress": {"aws:SourceIp": "198.51.100.0/24"}},
    "another account": {"StringEquals": {"aws:PrincipalAccount": THEIRS}},
    "ours and another": {"StringEquals": {"aws:PrincipalAccount": [OURS, THEIRS]}},
    "another organization": {"StringEquals": {"aws:PrincipalOrgID": "o-bbbbbbbbbb"}},
    "its own account": {"StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}},
    "services of AWS": {"Bool": {"aws:PrincipalIsAWSService": "true"}},
    "a date": {"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}},
    "external id": {"StringEquals": {"sts:ExternalId": "trading"}},
}

OPEN_PRINCIPALS: Mapping[str, Json] = {
    "star": {"Principal": "*"},
    "star as AWS": {"Principal": {"AWS": "*"}},
    "star in a list": {"Principal": {"AWS": ["*"]}},
    "list": {"Principal": ["*"]},
    "white space": {"Principal": " * "},
    "beside ours": {"Principal": {"AWS": [f"arn:aws:iam::{OURS}:root", "*"]}},
    "all services": {"Principal": {"Service": "*"}},
    "any account's root": {"Principal": {"AWS": "arn:aws:iam::*:root"}},
    "any account by length": {"Principal": {"AWS": "arn:aws:iam::????????????:root"}},
    "all but one": {"NotPrincipal": {"AWS": f"arn:aws:iam::{THEIRS}:root"}},
    **{
        f"star, if {name}": {"Principal": {"AWS": "*"}, "Condition": condition}
        for name, condition in CONDITIONS_OF_EVERYBODY.items()
    },
}

FOREIGN_PRINCIPALS: Mapping[str, Json] = {
    "account": {"Principal": {"AWS": THEIRS}},
    "root": {"Principal": {"AWS": f"arn:aws:iam::{THEIRS}:root"}},
    "role": {"Principal": {"AWS": [f"arn:aws:iam::{THEIRS}:role/trading"]}},
    "user": {"Principal": {"AWS": f"arn:aws:iam::{THEIRS}:user/ops"}},
    "session": {"Principal": {"AWS": f"arn:aws:sts::{THEIRS}:assumed-role/ops/me"}},
    "beside ours": {"Principal": {"AWS": [OURS, THEIRS]}},
    "unique id": {"Principal": {"AWS": "AROAEXAMPLEEXAMPLEEX1"}},
    "external id": {
        "Principal": {"AWS": f"arn:aws:iam::{THEIRS}:root"},
        "Condition": {"StringEquals": {"sts:ExternalId": "trading"}},
    },
}

FOREIGN_SOURCES: Mapping[str, Json] = {
    "for any account": {"Principal": {"Service": "s3.amazonaws.com"}},
    "for another account": {
        "Principal": {"Service": "events.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": THEIRS}},
    },
    "for another resource": {
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:cloudfront::{THEIRS}:distribution/*"}},
    },
    "canonical user": {
        "Principal": {"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7c"}
    },
}

GITHUB = f"arn:aws:iam::{OURS}:oidc-provider/token.actions.githubusercontent.com"
FEDERATED: Mapping[str, Json] = {
    name: {"Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity", **condition}
    for name, provider, condition in (
        ("no condition", GITHUB, {}),
        (
            "audience only",
            GITHUB,
            {"Condition": {"StringEquals": {f"{GITHUB[44:]}:aud": "sts.amazonaws.com"}}},
        ),
        ("any subject", GITHUB, {"Condition": {"StringLike": {f"{GITHUB[44:]}:sub": "*"}}}),
        ("any repository", GITHUB, {"Condition": {"StringLike": {f"{GITHUB[44:]}:sub": "repo:*"}}}),
        ("another issuer", f"arn:aws:iam::{OURS}:oidc-provider/login.example.net", {}),
        ("another account's issuer", GITHUB.replace(OURS, THEIRS), {}),
        ("public provider", "cognito-identity.amazonaws.com", {}),
        ("another account's SAML", f"arn:aws:iam::{THEIRS}:saml-provider/okta", {}),
    )
}

TABLE = f"arn:aws:dynamodb:us-east-1:{OURS}:table/orders"
WIDE_ACTIONS = (
    *(
        "*",
        "*:*",
        "**",
        "?*",
        "iam:*",
        "IAM:*",
        "Iam:**",
        " s3:* ",
        "s3:?*",
        "i?m:*",
        "*:GetItem",
        "dynamodb:*",
    ),
    *("dynamodb:*e*", "kms:D*", "s3:*Object", "?ynamodb:*"),
)
WIDE_RESOURCES = (
    *("*", "**", "?*", "arn:aws:dynamodb", "arn:aws:dynamodb:us-east-1", "arn:aws:dynamodb:*:*:*", "arn:*"),
    *("arn:aws:dynamodb:us-east-1:123456789012:table/*", "arn:aws:dynamodb:us-east-1:123456789012:t*"),
    *("arn:aws:dynamodb:*:*:table/?*", "arn:aws:dynamodb:us-east-1:123456789012:table/*orders*"),
    *(
        "arn:aws:dynamodb:us-east-1:123456789012:table/${aws:PrincipalTag/table}",
        "arn:aws:s3:::*",
        "arn:aws:s3:::",
    ),
    *("arn:aws:s3:::*/orders", "arn:aws:s3:::?*/*", " * ", "arn:aws:*:us-east-1:123456789012:table/orders"),
)
ESCALATIONS = (
    *("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:AttachRolePolicy", "iam:PutRolePolicy"),
    *("iam:PutUserPolicy", "iam:AddUserToGroup", "iam:CreateAccessKey", "iam:CreateLoginProfile"),
    *(
        "iam:UpdateAssumeRolePolicy",
        "iam:updateassumerolepolicy",
        "iam:Attach*Policy",
        "iam:Put*",
        "iam:Create*",
    ),
    *("iam:UpdateLoginProfile", "iam:DeleteRolePermissionsBoundary", "iam:PutGroupPolicy"),
)
BORROWED = (
    *("iam:PassRole", "iam:passrole", "iam:Pass*", "sts:AssumeRole", "lambda:UpdateFunctionCode"),
    *(
        "lambda:Update*",
        "ssm:SendCommand",
        "glue:UpdateDevEndpoint",
        "codebuild:StartBuild",
        "ecs:ExecuteCommand",
    ),
    *(
        "cloudformation:UpdateStack",
        "ec2-instance-connect:SendSSHPublicKey",
        "lambda:UpdateFunctionConfiguration",
    ),
)

MANAGED = "arn:aws:iam::aws:policy/"
ATTACHED: Sequence[tuple[str, Json]] = [
    *(
        (type_, {"policyArn": f"{MANAGED}{name}"})
        for type_ in (
            "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
            "aws:iam/groupPolicyAttachment:GroupPolicyAttachment",
            "aws:iam/policyAttachment:PolicyAttachment",
        )
        for name in (
            "AdministratorAccess",
            "PowerUserAccess",
            "IAMFullAccess",
            "job-function/SystemAdministrator",
        )
    ),
    ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", {"policyArn": f"{MANAGED}ReadOnlyAccess"}),
    ("aws:iam/role:Role", {"managedPolicyArns": [f"{MANAGED}AdministratorAccess"]}),
    (
        "aws:iam/rolePolicyAttachmentsExclusive:RolePolicyAttachmentsExclusive",
        {"policyArns": [f"{MANAGED}AdministratorAccess"]},
    ),
    (
        "aws:ssoadmin/managedPolicyAttachment:ManagedPolicyAttachment",
        {"managedPolicyArn": f"{MANAGED}AdministratorAccess"},
    ),
    (
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        {"policyArn": f"arn:aws:iam::{OURS}:policy/made-by-hand"},
    ),
]

LAMBDA = "aws:lambda/permission:Permission"
SHARED: Sequence[tuple[str, Json]] = [
    (LAMBDA, {"principal": "*"}),
    (LAMBDA, {"principal": "*", "functionUrlAuthType": "NONE"}),
    (LAMBDA, {"principal": "*", "sourceAccount": OURS, "principalOrgId": "o-bbbbbbbbbb"}),
    (LAMBDA, {"principal": THEIRS}),
    (LAMBDA, {"principal": f"arn:aws:iam::{THEIRS}:role/ops"}),
    (LAMBDA, {"principal": "s3.amazonaws.com"}),
    (LAMBDA, {"principal": "s3.amazonaws.com", "sourceArn": "arn:aws:s3:::anybodys"}),
    (LAMBDA, {"principal": "s3.amazonaws.com", "sourceAccount": THEIRS}),
    (LAMBDA, {"principal": "events.amazonaws.com", "sourceArn": "*"}),
    (LAMBDA, {"principal": "sns.amazonaws.com", "sourceArn": f"arn:aws:sns:us-east-1:{THEIRS}:topic"}),
    (
        "aws:kms/grant:Grant",
        {"granteePrincipal": f"arn:aws:iam::{THEIRS}:role/ops", "operations": ["Decrypt"]},
    ),
    ("aws:kms/grant:Grant", {"granteePrincipal": "*", "operations": ["Decrypt"]}),
    ("aws:kms/grant:Grant", {"retiringPrincipal": f"arn:aws:iam::{THEIRS}:root", "operations": ["Decrypt"]}),
    ("aws:cloudwatch/eventPermission:EventPermission", {"principal": "*"}),
    ("aws:cloudwatch/eventPermission:EventPermission", {"principal": THEIRS}),
    ("aws:lambda/layerVersionPermission:LayerVersionPermission", {"principal": "*"}),
    ("aws:ec2/vpcEndpointService:VpcEndpointService", {"allowedPrincipals": ["*"]}),
    ("aws:ec2/vpcEndpointService:VpcEndpointService", {"allowedPrincipals": [f"arn:aws:iam::{THEIRS}:root"]}),
    (
        "aws:ec2/vpcEndpointServiceAllowedPrinciple:VpcEndpointServiceAllowedPrinciple",
        {"principalArn": f"arn:aws:iam::{THEIRS}:root"},
    ),
    ("aws:ram/principalAssociation:PrincipalAssociation", {"principal": THEIRS}),
    (
        "aws:ram/principalAssociation:PrincipalAssociation",
        {"principal": f"arn:aws:organizations::{THEIRS}:organization/o-bbbbbbbbbb"},
    ),
    ("aws:ec2/snapshotCreateVolumePermission:SnapshotCreateVolumePermission", {"accountId": THEIRS}),
    ("aws:ec2/amiLaunchPermission:AmiLaunchPermission", {"accountId": THEIRS}),
    ("aws:rds/snapshot:Snapshot", {"sharedAccounts": ["all"]}),
    ("aws:rds/clusterSnapshotCopy:ClusterSnapshotCopy", {"sharedAccounts": [THEIRS]}),
    ("aws:redshift/endpointAuthorization:EndpointAuthorization", {"account": THEIRS}),
    ("aws:lakeformation/permissions:Permissions", {"principal": THEIRS}),
    ("aws:eks/accessEntry:AccessEntry", {"principalArn": f"arn:aws:iam::{THEIRS}:role/ops"}),
]


def resource(type_: str, properties: Json) -> Resource:
    """A resource that breaks no other rule because of its provider."""
    tags = {"owner": "team", "cost-center": "1", "environment": "live"}
    return Resource(
        type=type_,
        name="it",
        urn="urn:it",
        properties=properties,
        provider={"defaultTags": json.dumps({"tags": tags})},
        protect=True,
        sources={},
        is_production=True,
    )


def statement(place: Place, principal: Json | None = None) -> Json:
    """A secure statement for a place, with another principal if one is given."""
    made: Json = {"Effect": "Allow", "Action": place.action}
    if place.resource:
        made["Resource"] = place.resource
    if place in IDENTITY_PLACES:
        return made
    return made | (principal or {"Principal": {"AWS": f"arn:aws:iam::{OURS}:role/trading"}})


def document(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def made(place: Place, value: Json) -> Resource:
    """A resource with a document as text."""
    return resource(place.type, place.holding(value if place.path == "body" else json.dumps(value)))


def attacks() -> Iterator[Attack]:
    """All attacks."""
    for place in (*RESOURCE_PLACES, TRUST):
        original = made(place, document(statement(place)))
        for kind, variants in (
            ("open principals", OPEN_PRINCIPALS),
            ("foreign principals", FOREIGN_PRINCIPALS),
            *([] if place is TRUST else [("services for others", FOREIGN_SOURCES)]),
            *([("federated trust", FEDERATED)] if place is TRUST else []),
        ):
            for name, principal in variants.items():
                bad = document(statement(place), statement(place, principal))
                yield Attack(kind, f"{place.type}.{place.path}: {name}", made(place, bad), original)
        yield from _useless_denies(place, original)
    for place in (*RESOURCE_PLACES, TRUST, *IDENTITY_PLACES):
        yield from _encoded(place)
    for place in IDENTITY_PLACES:
        yield from _identity(place)
    for place in ENDPOINT_PLACES:
        yield from _endpoint(place)
    yield from _bucket()
    for type_, properties in ATTACHED:
        yield Attack("managed policies", str(properties), resource(type_, properties), resource(type_, {}))
    for type_, properties in SHARED:
        secure = {"principal": "s3.amazonaws.com", "sourceAccount": OURS} if type_ == LAMBDA else {}
        yield Attack("sharing", f"{type_} {properties}", resource(type_, properties), resource(type_, secure))


def _useless_denies(place: Place, original: Resource) -> Iterator[Attack]:
    """Everyone is allowed, and a deny covers less than it seems to."""
    everyone = statement(place, {"Principal": "*"})
    outside: Json = {"StringNotEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}
    deny: Json = {**everyone, "Effect": "Deny", "Condition": outside}
    for name, change in {
        "other action": {"Action": "s3:DeleteBucket"},
        "one principal": {"Principal": {"AWS": THEIRS}},
        "second key": {
            "Condition": {"StringNotEquals": {**outside["StringNotEquals"], "aws:UserAgent": "x"}}
        },
        "second operator": {"Condition": {**outside, "Bool": {"aws:SecureTransport": "false"}}},
        "any value": {"Condition": {"StringNotLike": {"aws:SourceVpce": "*"}}},
        "positive": {"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}},
        "another account": {"Condition": {"StringNotEquals": {"aws:PrincipalAccount": THEIRS}}},
    }.items():
        bad = made(place, document(everyone, {**deny, **change}))
        yield Attack("denies that don't cover", f"{place.type}.{place.path}: {name}", bad, original)


def _encoded(place: Place) -> Iterator[Attack]:
    """An insecure document in other forms of text."""
    original = made(place, document(statement(place)))
    wide = {"Action": "*", "Resource": "*"} if place in IDENTITY_PLACES else {"Principal": "*"}
    bad = document({**statement(place), **wide})
    text = json.dumps(bad)
    forms: dict[str, Any] = {
        "white space": f"\n\t {text} ",
        "byte order mark": f"\ufeff{text}",
        "object": bad,
        "single statement": json.dumps({**bad, "Statement": bad["Statement"][0]}),
        "escaped": text.replace("Statement", "\\u0053tatement").replace('"*"', '"\\u002a"'),
        "repeated key": text.replace('"Effect": "Allow"', '"Effect": "Allow", "Effect": "Deny"'),
        "lower case": json.dumps({"version": "2012-10-17", "statement": [_lower(bad["Statement"][0])]}),
        "effect in lower case": text.replace('"Allow"', '"allow"'),
        "other version": text.replace("2012-10-17", "2013-10-17"),
        "cut off": text[:-1],
        "twice encoded": json.dumps(text),
        "YAML": yaml.safe_dump(bad),
        "secret": SECRET,
    }
    for name, form in forms.items():
        if place.path != "body":
            yield Attack(
                "encodings",
                f"{place.type}.{place.path}: {name}",
                resource(place.type, place.holding(form)),
                original,
            )
    if place.path == "body":
        body = yaml.safe_dump({"openapi": "3.0.1", "x-amazon-apigateway-policy": bad})
        for name, form in {"YAML body": body, "secret body": SECRET}.items():
            yield Attack("encodings", f"{place.type}: {name}", resource(place.type, {"body": form}), original)


def _lower(item: Json) -> Json:
    return {key.lower(): value for key, value in item.items()}


def _identity(place: Place) -> Iterator[Attack]:
    secure = statement(place)
    original = made(place, document(secure))

    def attack(kind: str, name: str, **change: Any) -> Attack:
        bad = {**secure, **change}
        for key in ("Action", "Resource"):
            if f"Not{key}" in change:
                del bad[key]
        return Attack(
            kind, f"{place.type}.{place.path}: {name}", made(place, document(secure, bad)), original
        )

    for action in WIDE_ACTIONS:
        yield attack("wide actions", action, Action=[secure["Action"], action])
    yield attack("wide actions", "NotAction", NotAction="iam:*")
    for text in WIDE_RESOURCES:
        yield attack("wide resources", text, Resource=[TABLE, text])
    yield attack("wide resources", "NotResource", NotResource=TABLE)
    for action in ("kms:Decrypt", "KMS:decrypt", "kms:De*", "kms:Decryp?", "kms:ReEncrypt*", "kms:*crypt*"):
        for text in ("*", f"arn:aws:kms:*:{OURS}:key/*", "arn:aws:kms:us-east-1", f"{KEY[:41]}????????-*"):
            yield attack("decryption", f"{action} {text}", Action=action, Resource=text)
    for action in ESCALATIONS:
        yield attack("escalation", action, Action=action, Resource=f"arn:aws:iam::{OURS}:role/trading")
    for action in BORROWED:
        yield attack("escalation", action, Action=action, Resource=f"arn:aws:iam::{OURS}:role/trading-*")


def _endpoint(place: Place) -> Iterator[Attack]:
    original = made(place, document(statement(place, {"Principal": "*"})))
    condition = {"Condition": {"StringEquals": {"aws:ResourceAccount": THEIRS}}}
    for name, change in {
        "all buckets": {"Resource": "*"},
        "all buckets by ARN": {"Resource": "arn:aws:s3:::*"},
        "all but one": {"NotResource": "arn:aws:s3:::reports"},
        "another account": {"Resource": "*", **condition},
        "if it exists": {
            "Resource": "*",
            "Condition": {"StringEqualsIfExists": {"aws:ResourceAccount": OURS}},
        },
    }.items():
        bad = {**statement(place, {"Principal": "*"}), **change}
        if "NotResource" in change:
            del bad["Resource"]
        yield Attack("endpoints", f"{place.type}: {name}", made(place, document(bad)), original)


def _bucket() -> Iterator[Attack]:
    """Control of a bucket, in the bucket's own policy."""
    place = RESOURCE_PLACES[0]
    original = made(place, document(statement(place)))
    for action in (
        "s3:*",
        "S3:PutBucketPolicy",
        "s3:putbucketacl",
        "s3:Put*",
        "s3:DeleteBucket*",
        "s3:*Acl",
        "*",
    ):
        bad = made(place, document({**statement(place), "Action": action}))
        yield Attack("control of a bucket", action, bad, original)


Check = Callable[[Resource], set[tuple[str, str]]]


def found(it: Resource) -> set[tuple[str, str]]:
    """The findings of all rules: the rule's name and the text."""
    stack = Stack([it])
    return {
        *((rule.name, text) for rule in RULES if rule.applies_to(it.type) for text in _texts(rule, it)),
        *(
            (rule.name, text)
            for rule in STACK_RULES
            if rule.applies_to(it.type)
            for text in _texts(rule, it, stack)
        ),
    }


def _texts(rule: Any, *args: Any) -> list[str]:
    try:
        return list(rule.check(*args))
    except Exception as error:  # a rule of an earlier commit can fail, which the engine reports
        return [f"fails with {type(error).__name__}"]


def passed(attack: Attack) -> bool:
    """Whether no rule refuses what the attack changes."""
    return not found(attack.resource) - found_in_original(attack)


def found_in_original(attack: Attack) -> set[tuple[str, str]]:
    """The findings in what the attack was made from, which many attacks share."""
    original = attack.original
    if id(original) not in _originals:
        _originals[id(original)] = original, found(original)
    return _originals[id(original)][1]


_originals: dict[int, tuple[Resource, set[tuple[str, str]]]] = {}
"""Identity → the resource, which a resource that lives on shares with no other one, and its findings."""


def count() -> dict[str, tuple[int, int]]:
    """Kind → how many attacks there are, and how many pass."""
    counts: dict[str, tuple[int, int]] = {}
    for attack in attacks():
        total, through = counts.get(attack.kind, (0, 0))
        counts[attack.kind] = (total + 1, through + passed(attack))
    return counts


def _before(commit: str) -> dict[str, tuple[int, int]]:
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "policy", "settings"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
        (Path(folder) / "tests").symlink_to(ROOT / "tests")
        command = [sys.executable, "-m", "tests.policy.attacks", "--json"]
        return json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="COMMIT", help="also count with the rules of this commit")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="name the attacks that pass")
    arguments = parser.parse_args()
    if arguments.list:
        print(*(f"{attack.kind}: {attack.name}" for attack in attacks() if passed(attack)), sep="\n")
        return
    after = count()
    if arguments.json:
        print(json.dumps(after))
        return
    before = _before(arguments.before) if arguments.before else {}
    print(f"{'kind':28}{'attacks':>8}{'refused':>9}{'passed':>8}" + ("  refused before" if before else ""))
    for kind, (total, through) in (*after.items(), ("all", _sum(after))):
        old = _sum(before) if kind == "all" else before.get(kind, (0, 0))
        was = f"{old[0] - old[1]:>16}" if before else ""
        print(f"{kind:28}{total:>8}{total - through:>9}{through:>8}{was}")


def _sum(counts: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    return sum(total for total, _ in counts.values()), sum(through for _, through in counts.values())


if __name__ == "__main__":
    main()
