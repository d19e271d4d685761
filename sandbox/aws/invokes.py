"""Simulates AWS functions (Terraform's data sources) with the deployed and existing resources."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.aws import account
from sandbox.aws.attributes import EMPTY, stable
from sandbox.aws.store import ACCOUNT, Row, Store
from sandbox.rpc import ProviderError
from sandbox.sdk_schema import function
from settings.aws_limits import (
    CLOUDFRONT_PREFIX_LIST,
    CLOUDFRONT_PREFIX_LIST_WEIGHT,
    HEALTH_CHECKERS_SERVICE,
    SERVICE_NAME,
)

_PREFIX_LIST_SERVICES = ("dynamodb", "ec2-instance-connect", HEALTH_CHECKERS_SERVICE, "s3")

NOT_FOUND = "couldn't find resource"
"""The provider's error of a look-up that finds nothing (hashicorp/terraform-plugin-sdk,
`helper/retry/error.go`, 2026)."""

Result = dict[str, Any]


@dataclass(frozen=True)
class _Call:
    args: Mapping[str, Any]
    region: str
    store: Store
    hint: str

    def existing(self, kind: str) -> list[Row]:
        """All resources of a type in the region."""
        return [row for row in self.store.existing(kind) if row.region in ("", self.region)]


_Answer = Callable[[_Call], Result]
_FUNCTIONS: dict[str, tuple[frozenset[str], _Answer]] = {}


def call(token: str, args: Mapping[str, Any], region: str, store: Store, hint: str) -> Result:
    """Returns the result of a function. Outputs that aren't simulated are empty values of their type.

    `hint` is appended to errors about resources that don't exist.

    Raises:
        ProviderError: the function or one of its arguments isn't simulated, or AWS would find nothing.
    """
    if token not in _FUNCTIONS:
        raise ProviderError(f"{token}: the sandbox does not support this AWS function yet")
    known, answer = _FUNCTIONS[token]
    given = {name: value for name, value in args.items() if value is not None}
    for name in given.keys() - known - {"region"}:
        raise ProviderError(f"{token}: {name}: the sandbox does not support this argument yet")
    found = answer(_Call(given, region, store, hint))
    outputs = {"id": str(found.get("id") or found.get("arn") or region), "region": region, **given, **found}
    schema = function(token).outputs
    for name, prop in schema.items():
        if name not in outputs and prop.required:
            outputs[name] = {} if prop.type.kind == "object" else EMPTY.get(prop.type.kind, "")
    return {name: value for name, value in outputs.items() if name in schema}


def exists(value: str, region: str) -> bool:
    """Whether an id belongs to a resource that AWS provides in every account."""
    return value in {_prefix_list_id(name, region) for name in _names(region)}


def _function(token: str, *arguments: str) -> Callable[[_Answer], _Answer]:
    def register(answer: _Answer) -> _Answer:
        _FUNCTIONS[f"aws:{token}"] = frozenset(arguments), answer
        return answer

    return register


@_function("index/getCallerIdentity:getCallerIdentity")
def _caller_identity(_: _Call) -> Result:
    return {
        "accountId": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:user/sandbox",
        "id": ACCOUNT,
        "userId": "AIDASANDBOXSANDBOXXX1",
    }


def _names(region: str) -> list[str]:
    regional = [SERVICE_NAME.format(region=region, service=service) for service in _PREFIX_LIST_SERVICES]
    return [CLOUDFRONT_PREFIX_LIST, *regional]


def _prefix_list_id(name: str, region: str) -> str:
    return f"pl-{stable(8, region, name, alphabet='hex')}"


@_function("ec2/getManagedPrefixList:getManagedPrefixList", "name")
def _prefix_list(call: _Call) -> Result:
    name = call.args.get("name", "")
    if name not in _names(call.region):
        raise ProviderError(f"name: no managed prefix list {name!r} in {call.region}")
    identifier = _prefix_list_id(name, call.region)
    return {
        "id": identifier,
        "arn": f"arn:aws:ec2:{call.region}:aws:prefix-list/{identifier}",
        "name": name,
        "addressFamily": "IPv4",
        "ownerId": "AWS",
        "maxEntries": CLOUDFRONT_PREFIX_LIST_WEIGHT if name == CLOUDFRONT_PREFIX_LIST else 25,
    }


def _found(call: _Call, what: str, rows: list[Row], wanted: Mapping[str, Any]) -> Result:
    """The outputs of the only resource that matches the wanted outputs."""
    every = [{**row.outputs, "id": row.id} for row in rows]
    found = [outputs for outputs in every if all(outputs.get(name) == wanted[name] for name in wanted)]
    if len(found) != 1:
        count = "more than one" if found else "no"
        raise ProviderError(f"{count} {what} matched {json.dumps(dict(call.args))}{call.hint}")
    return found[0]


def _only(call: _Call, kind: str, name: str, what: str) -> Result:
    """The outputs of the resource whose output `name` is the argument of this name, or the bridged provider's
    error if there is none."""
    wanted = call.args[name]
    for row in call.existing(kind):
        if row.outputs.get(name) == wanted:
            return {**row.outputs, "id": row.id}
    raise ProviderError(f"reading {what} ({wanted}): {NOT_FOUND}{call.hint}")


@_function("ec2/getVpc:getVpc", "id", "cidrBlock", "tags")
def _vpc(call: _Call) -> Result:
    return _found(call, "EC2 VPC", call.existing(account.VPC), call.args)


@_function("ec2/getSubnet:getSubnet", "id", "vpcId", "cidrBlock", "availabilityZone", "tags")
def _subnet(call: _Call) -> Result:
    return _found(call, "EC2 Subnet", call.existing(account.SUBNET), call.args)


@_function("ec2/getRouteTable:getRouteTable", "routeTableId", "subnetId", "vpcId")
def _route_table(call: _Call) -> Result:
    wanted = {"id" if name == "routeTableId" else name: value for name, value in call.args.items()}
    if subnet := wanted.pop("subnetId", None):
        associations = call.existing(account.ROUTE_TABLE_ASSOCIATION)
        tables = [row.outputs["routeTableId"] for row in associations if row.outputs["subnetId"] == subnet]
        wanted["id"] = next(iter(tables), "")
    found = _found(call, "EC2 Route Table", call.existing(account.ROUTE_TABLE), wanted)
    return {**found, "routeTableId": found["id"]}


@_function("ec2/getVpcEndpoint:getVpcEndpoint", "vpcId", "serviceName", "vpcEndpointType")
def _vpc_endpoint(call: _Call) -> Result:
    return _found(call, "EC2 VPC Endpoint", call.existing(account.VPC_ENDPOINT), call.args)


@_function("eks/getClusters:getClusters")
def _clusters(call: _Call) -> Result:
    return {"names": sorted(str(row.outputs["name"]) for row in call.existing(account.CLUSTER))}


@_function("iam/getRole:getRole", "name")
def _role(call: _Call) -> Result:
    """The role with a name, or the bridged provider's error if there is none
    (`internal/service/iam/role_data_source.go`, 2026)."""
    return {"path": "/", **_only(call, account.ROLE, "name", "IAM Role")}


@_function("iam/getPolicy:getPolicy", "arn")
def _policy(call: _Call) -> Result:
    """The policy with an ARN (`internal/service/iam/policy_data_source.go`, 2026)."""
    return _only(call, account.POLICY, "arn", "IAM Policy")


@_function("kms/getKey:getKey", "keyId")
def _key(call: _Call) -> Result:
    """The key with an alias (`internal/service/kms/key_data_source.go`, 2026)."""
    alias = str(call.args["keyId"])
    for row in call.existing(account.ALIAS):
        if row.id == alias:
            target = row.outputs["targetKeyId"]
            outputs = next(key.outputs for key in call.existing(account.KEY) if target in (key.id, key.arn))
            return {
                "keyState": "Enabled",
                "origin": "AWS_KMS",
                **outputs,
                "keySpec": outputs.get("customerMasterKeySpec") or "SYMMETRIC_DEFAULT",
                "keyUsage": outputs.get("keyUsage") or "ENCRYPT_DECRYPT",
                "id": outputs["keyId"],
                "keyId": alias,
            }
    raise ProviderError(f"reading KMS Key ({alias}): {NOT_FOUND}")


@_function("s3/getBucket:getBucket", "bucket")
def _bucket(call: _Call) -> Result:
    """The bucket with a name (`internal/service/s3/bucket_data_source.go`, 2026)."""
    found = _only(call, account.BUCKET, "bucket", "S3 Bucket")
    return {"bucketRegion": call.region, **found}


@_function("s3/getBucketPolicy:getBucketPolicy", "bucket")
def _bucket_policy(call: _Call) -> Result:
    """The policy of a bucket. Other accounts can't read it, even if it allows them to ("GetBucketPolicy",
    Amazon S3 API Reference; `internal/service/s3/bucket_policy_data_source.go`, 2026)."""
    found = _only(call, account.BUCKET, "bucket", "S3 Bucket")
    if found.get("owner", ACCOUNT) != ACCOUNT:
        raise ProviderError(
            f"reading S3 Bucket ({found['bucket']}) Policy: operation error S3: GetBucketPolicy, https "
            "response error StatusCode: 405, api error MethodNotAllowed"
        )
    return _only(call, account.BUCKET_POLICY, "bucket", "S3 Bucket Policy")


@_function("iam/getRoles:getRoles", "pathPrefix")
def _roles(call: _Call) -> Result:
    """All roles below a path; none is no error (`internal/service/iam/roles_data_source.go`, 2026)."""
    rows = [*call.existing(account.ROLE), *call.existing(account.SERVICE_LINKED_ROLE)]
    prefix = call.args.get("pathPrefix", "/")
    found = [row for row in rows if str(row.outputs.get("path", "/")).startswith(prefix)]
    return {
        "arns": sorted(row.arn for row in found),
        "names": sorted(row.arn.rsplit("/", 1)[-1] for row in found),
    }


@_function("iam/getOpenIdConnectProvider:getOpenIdConnectProvider", "url")
def _identity_provider(call: _Call) -> Result:
    """The provider of an issuer, or the bridged provider's error if there is none
    (`internal/service/iam/openid_connect_provider_data_source.go`, 2026)."""
    url = str(call.args["url"])
    for row in call.existing(account.IDENTITY_PROVIDER):
        if row.arn.partition("oidc-provider/")[2] == url.removeprefix("https://"):
            return {**row.outputs, "id": row.id, "arn": row.arn}
    raise ProviderError(f"reading IAM OIDC Provider ({url}): {NOT_FOUND}")


@_function("ecr/getPullThroughCacheRule:getPullThroughCacheRule", "ecrRepositoryPrefix")
def _cache_rule(call: _Call) -> Result:
    """The rule of a prefix, or the bridged provider's error if there is none
    (`internal/service/ecr/pull_through_cache_rule_data_source.go`, 2026)."""
    prefix = str(call.args["ecrRepositoryPrefix"])
    for row in call.existing(account.CACHE_RULE):
        if row.id == prefix:
            return {**row.outputs, "id": prefix}
    raise ProviderError(f"reading ECR Pull Through Cache Rule ({prefix}): {NOT_FOUND}")


@_function("secretsmanager/getSecret:getSecret", "arn", "name")
def _secret(call: _Call) -> Result:
    return _found(call, "Secrets Manager Secret", call.existing(account.SECRET), call.args)


@_function("route53/getZone:getZone", "name", "privateZone", "zoneId")
def _zone(call: _Call) -> Result:
    wanted = {name: value for name, value in call.args.items() if name != "privateZone"}
    if "name" in wanted:
        wanted["name"] = str(wanted["name"]).rstrip(".")
    private = bool(call.args.get("privateZone"))
    zones = [row for row in call.existing(account.ZONE) if bool(row.outputs.get("vpcs")) == private]
    return _found(call, "Route 53 Hosted Zone", zones, wanted)
