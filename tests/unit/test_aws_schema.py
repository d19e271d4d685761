"""The simulated AWS provider without an engine: schemas, names, replacements, references and functions."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import sdk_schema
from sandbox.aws import attributes, cloudformation, regions
from sandbox.aws.provider import AwsProvider
from sandbox.rpc import Call, ProviderError
from sandbox.values import UNKNOWN

CONFIG = {"region": "eu-west-1", "defaultTags": json.dumps({"tags": {"Owner": "platform"}})}


class Account:
    """The simulated provider, called in the same way as by the engine."""

    def __init__(self, directory: Path) -> None:
        self.provider = AwsProvider(directory)
        self.config: dict[str, Any] = dict(CONFIG)

    @staticmethod
    def urn(kind: str, name: str) -> str:
        return f"urn:pulumi:test::trading::aws:{kind}::{name}"

    def check(
        self, kind: str, name: str, /, old: dict[str, Any] | None = None, **inputs: Any
    ) -> tuple[Any, list[str]]:
        call = Call(self.config, self.urn(kind, name), old_inputs=old or {}, inputs=inputs)
        checked, failures = self.provider.check(call)
        return checked, [failure.reason for failure in failures]

    def create(
        self, kind: str, name: str, /, preview: bool = False, **inputs: Any
    ) -> tuple[str, dict[str, Any]]:
        checked, failures = self.check(kind, name, **inputs)
        assert not failures
        return self.provider.create(Call(self.config, self.urn(kind, name), inputs=checked, preview=preview))

    def delete(self, kind: str, name: str, identifier: str, outputs: dict[str, Any]) -> None:
        self.provider.delete(Call(self.config, self.urn(kind, name), identifier, outputs=outputs))

    def invoke(self, token: str, /, **arguments: Any) -> dict[str, Any]:
        return self.provider.invoke(self.config, f"aws:{token}", arguments)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    found = Account(tmp_path)
    yield found
    found.provider.store.close()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    (
        "aws:ec2/vpc:Vpc",
        {"cidrBlok": "10.0.0.0/16"},
        "cidrBlok: unknown property of aws:ec2/vpc:Vpc; did you mean cidrBlock?",
    ),
    ("aws:ec2/subnet:Subnet", {}, "vpcId: is required by aws:ec2/subnet:Subnet"),
    (
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"vpcId": "v", "subnetConfigurations": [{"ipvv4": "10.0.0.1"}]},
        "subnetConfigurations[0].ipvv4: unknown property of VpcEndpointSubnetConfiguration; did you mean",
    ),
    (
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        {"vpcId": "v", "subnetIds": "a"},
        'subnetIds: expected list of string, got string "a"',
    ),
    ("aws:sqs/queue:Queue", {"delaySeconds": "soon"}, 'delaySeconds: expected number, got string "soon"'),
    (
        "aws:sqs/queue:Queue",
        {"fifoQueue": "perhaps"},
        'fifoQueue: expected boolean, got string "perhaps"',
    ),
    (
        "aws:rds/cluster:Cluster",
        {"engine": "not-an-engine"},
        '"not-an-engine" is not one of aurora-mysql, aurora-postgresql',
    ),
    ("random:index/randomPassword:RandomPassword", {"length": "x"}, "length: expected number"),
    (
        "kubernetes:apps/v1:Deployment",
        {"spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "a", "imag": "b"}]}}}},
        "spec.template.spec.containers[0].imag: unknown property of Container; did you mean image?",
    ),
    ("eks:index:Cluster", {"autoMode": {"enabled": True, "nodePools": [{}]}}, "autoMode"),
    ("pulumi:providers:aws", {"regoin": "eu-west-1"}, "did you mean region?"),
]


@pytest.mark.parametrize(("token", "inputs", "message"), WRONG)
def test_wrong_input_is_named(token: str, inputs: dict[str, Any], message: str) -> None:
    assert message in "\n".join(map(str, sdk_schema.validate(token, inputs)))


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        ("aws:sqs/queue:Queue", {"delaySeconds": "5", "fifoQueue": "true", "name": 5}),
        ("aws:ec2/subnet:Subnet", {"vpcId": UNKNOWN, "tags": UNKNOWN, "mapPublicIpOnLaunch": UNKNOWN}),
        (
            "aws:lb/listener:Listener",
            {"loadBalancerArn": "a", "defaultActions": [{"type": "forward"}], "protocol": "HTTPS"},
        ),
        ("kubernetes:eks.amazonaws.com/v1:NodePool", {"spec": {"anything": 1}}),
        ("trading:tier:Database", {"anything": 1}),
        (
            "pulumi:providers:aws",
            {"region": "eu-west-1", "defaultTags": '{"tags": {"a": "b"}}', "version": "7"},
        ),
    ],
)
def test_what_the_real_provider_accepts_is_accepted(token: str, inputs: dict[str, Any]) -> None:
    assert sdk_schema.validate(token, inputs) == []


def test_unknown_type_is_an_error_with_the_nearest() -> None:
    with pytest.raises(sdk_schema.UnknownTypeError, match=r"did you mean aws:ec2/vpc:Vpc\?"):
        sdk_schema.validate("aws:ec2/vpc:Vpcs", {})


def test_secrets_are_not_shown() -> None:
    (problem,) = sdk_schema.validate(
        "aws:rds/cluster:Cluster", {"engine": "mysql", "masterPassword": ["hunter2"]}
    )
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    ("token", "paths", "replaced"),
    [
        ("aws:ec2/subnet:Subnet", ["cidrBlock", "vpcId", "availabilityZone"], True),
        ("aws:ec2/subnet:Subnet", ["mapPublicIpOnLaunch", "tags.Name"], False),
        ("aws:lb/loadBalancer:LoadBalancer", ["name", "internal"], True),
        ("aws:lb/loadBalancer:LoadBalancer", ["idleTimeout", "enableDeletionProtection"], False),
        ("aws:msk/cluster:Cluster", ["brokerNodeGroupInfo.clientSubnets[0]", "clusterName"], True),
        ("aws:msk/cluster:Cluster", ["brokerNodeGroupInfo.instanceType", "numberOfBrokerNodes"], False),
        ("aws:rds/cluster:Cluster", ["masterUsername", "storageEncrypted", "engine"], True),
        ("aws:rds/cluster:Cluster", ["engineVersion", "backupRetentionPeriod", "masterPassword"], False),
        ("aws:dynamodb/table:Table", ["hashKey", "name"], True),
        ("aws:dynamodb/table:Table", ["readCapacity", "globalSecondaryIndexes[0].name"], False),
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", ["cidrIpv4", "fromPort"], False),
        ("aws:iam/rolePolicyAttachment:RolePolicyAttachment", ["role", "policyArn"], True),
        ("aws:apigateway/method:Method", ["restApi", "resourceId", "httpMethod"], True),
        ("aws:apigateway/deployment:Deployment", ["triggers.routes"], True),
        ("aws:lambda/function:Function", ["name", "region"], True),
        ("aws:lambda/function:Function", ["memorySize", "runtime", "environment"], False),
    ],
)
def test_replacement_follows_the_schemas(token: str, paths: list[str], replaced: bool) -> None:
    assert [cloudformation.replaces(token, path) for path in paths] == [replaced] * len(paths)


def test_cloudformation_ranges_are_checked() -> None:
    (problem,) = cloudformation.value_problems("aws:rds/cluster:Cluster", {"backupRetentionPeriod": 99})
    assert problem.path == "backupRetentionPeriod"
    assert "99" in problem.message


def _sample(kind: sdk_schema.Type) -> Any:
    match kind.kind:
        case "string":
            return "x"
        case "number":
            return 3
        case "boolean":
            return True
        case "list" | "map":
            assert kind.item
            return [_sample(kind.item)] if kind.kind == "list" else {"a": _sample(kind.item)}
        case "object":
            assert kind.cls
            return {n: _sample(p.type) for n, p in sdk_schema.properties(kind.cls).items() if p.required}
        case "union":
            return _sample(kind.options[0])
        case _:
            return kind.values[0] if kind.values else "x"


@pytest.mark.parametrize("token", sorted(attributes.forms()))
def test_every_type_has_its_id_and_all_outputs(token: str, account: Account) -> None:
    schema = sdk_schema.schema(token)
    inputs = {name: _sample(prop.type) for name, prop in schema.inputs.items() if prop.required}
    inputs |= {part: "x" for part in schema.inputs if f"{{{part}}}" == attributes.forms()[token]["id"]}
    inputs = attributes.with_defaults(token, "name", inputs, {}, b"")
    builder = attributes.Builder(
        token, inputs, region="eu-west-1", default_tags={}, store=account.provider.store
    )
    outputs = builder.outputs()
    assert builder.id
    assert "{" not in builder.id + builder.arn
    required = {name for name, prop in schema.outputs.items() if prop.required and not name.endswith("Wo")}
    assert required <= outputs.keys()
    preview = attributes.Builder(
        token, inputs, region="eu-west-1", default_tags={}, store=account.provider.store, preview=True
    ).outputs()
    assert required <= preview.keys()
    assert UNKNOWN not in json.dumps(outputs)


def test_automatic_name_stays_and_fits(account: Account) -> None:
    first, _ = account.check(
        "lb/targetGroup:TargetGroup", "a-very-long-name-of-a-target-group-indeed", targetType="ip"
    )
    assert len(first["name"]) == 32
    assert first["__defaults"] == ["name"]
    again, _ = account.check(
        "lb/targetGroup:TargetGroup", "a-very-long-name-of-a-target-group-indeed", old=first, targetType="ip"
    )
    assert again["name"] == first["name"]
    prefixed, _ = account.check("iam/role:Role", "r", assumeRolePolicy="{}", namePrefix="svc-")
    assert prefixed["name"].startswith("svc-")
    alias, _ = account.check("kms/alias:Alias", "key", targetKeyId="k")
    assert alias["name"].startswith("alias/key-")


def test_fixed_name_is_deleted_before_it_is_replaced(account: Account) -> None:
    def difference(**old: Any) -> Any:
        kind = "sqs/queue:Queue"
        before, _ = account.check(kind, "q", **old)
        after, _ = account.check(kind, "q", old=before, **{**old, "fifoQueue": True})
        return account.provider.diff(
            Call(CONFIG, account.urn(kind, "q"), "id", inputs=after, old_inputs=before)
        )

    assert difference(name="orders.fifo").delete_before_replace
    assert not difference().delete_before_replace


GROUP = {"clientSubnets": ["subnet-1"], "instanceType": "kafka.m7g.large"}


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ({"brokerNodeGroupInfo": GROUP}, {"brokerNodeGroupInfo": {**GROUP, "clientSubnets": ["s"]}}, True),
        ({"brokerNodeGroupInfo": GROUP}, {"brokerNodeGroupInfo": {"instanceType": "kafka.m7g.large"}}, True),
        ({}, {"brokerNodeGroupInfo": {"instanceType": "kafka.m7g.large"}}, False),
        ({}, {"brokerNodeGroupInfo": {"instanceType": "kafka.m7g.large", "clientSubnets": None}}, False),
        ({}, {"brokerNodeGroupInfo": GROUP}, True),
        ({"brokerNodeGroupInfo": GROUP}, {"brokerNodeGroupInfo": UNKNOWN}, False),
        ({"clusterName": "one"}, {"clusterName": UNKNOWN}, True),
    ],
)
def test_block_replaces_for_the_properties_that_it_has(
    account: Account, old: dict[str, Any], new: dict[str, Any], replaced: bool
) -> None:
    call = Call(CONFIG, account.urn("msk/cluster:Cluster", "c"), "id", inputs=new, old_inputs=old)
    assert bool(account.provider.diff(call).replaces) is replaced


def test_final_snapshot_outlives_its_cluster_and_keeps_its_name(account: Account) -> None:
    kind, fixed = "rds/cluster:Cluster", {"engine": "aurora-postgresql", "finalSnapshotIdentifier": "last"}

    def deployed(**inputs: Any) -> tuple[str, dict[str, Any]]:
        return account.create(kind, "c", **fixed, **inputs)

    account.delete(kind, "c", *deployed())
    identifier, outputs = deployed()
    with pytest.raises(ProviderError, match="there is a snapshot last already"):
        account.delete(kind, "c", identifier, outputs)
    account.delete(kind, "c", *deployed(skipFinalSnapshot=True))


def test_policy_documents_are_compared_by_meaning(account: Account) -> None:
    urn = account.urn("iam/role:Role", "r")
    old, new = {"assumeRolePolicy": '{"a": 1, "b": 2}'}, {"assumeRolePolicy": '{"b":2,"a":1}'}
    assert not account.provider.diff(Call(CONFIG, urn, "r", inputs=new, old_inputs=old)).changes


def _network(account: Account, zones: str = "abc") -> tuple[str, list[str]]:
    vpc, _ = account.create("ec2/vpc:Vpc", "main", cidrBlock="10.0.0.0/16")
    subnets = [
        account.create(
            "ec2/subnet:Subnet",
            f"{zone}{number}",
            vpcId=vpc,
            cidrBlock=f"10.0.{number}.0/24",
            availabilityZone=f"eu-west-1{zone}",
        )[0]
        for number, zone in enumerate(zones)
    ]
    return vpc, subnets


def test_what_does_not_exist_is_refused(account: Account) -> None:
    with pytest.raises(
        ProviderError, match=r"Subnet s: vpcId: vpc-0123456789abcdef0 does not exist in eu-west-1"
    ):
        account.create(
            "ec2/subnet:Subnet", "s", preview=True, vpcId="vpc-0123456789abcdef0", cidrBlock="10.0.0.0/24"
        )
    with pytest.raises(ProviderError, match=r'role: Role "nobody" does not exist'):
        account.create("iam/rolePolicy:RolePolicy", "p", role="nobody", policy="{}")
    with pytest.raises(ProviderError, match="role: arn:aws:iam::123456789012:role/nobody does not exist"):
        account.create("lambda/function:Function", "f", role="arn:aws:iam::123456789012:role/nobody")
    _, subnets = _network(account)
    with pytest.raises(ProviderError, match=r"subnets\[1\]: subnet-0abcdef0123456789 does not exist"):
        account.create(
            "lb/loadBalancer:LoadBalancer", "alb", subnets=[subnets[0], "subnet-0abcdef0123456789"]
        )


def test_an_id_of_another_region_does_not_exist(account: Account) -> None:
    vpc, _ = _network(account)
    account.config["region"] = "us-east-1"
    with pytest.raises(ProviderError, match=f"{vpc} does not exist in us-east-1"):
        account.create("ec2/subnet:Subnet", "s", vpcId=vpc, cidrBlock="10.0.9.0/24")


def test_names_known_at_preview_count_as_existing(account: Account) -> None:
    account.create("iam/role:Role", "r", preview=True, name="r", assumeRolePolicy="{}")
    account.create("iam/rolePolicy:RolePolicy", "p", preview=True, role="r", policy="{}")
    with pytest.raises(ProviderError, match="does not exist"):
        account.create("iam/rolePolicy:RolePolicy", "p", role="r", policy="{}")


def test_parts_of_a_resource_exist_with_it(account: Account) -> None:
    _, table = account.create(
        "dynamodb/table:Table",
        "t",
        hashKey="id",
        attributes=[{"name": "id", "type": "S"}],
        billingMode="PAY_PER_REQUEST",
    )
    account.create("backup/plan:Plan", "p", rules=[{"ruleName": "r", "targetVaultName": "v"}])
    account.create(
        "cloudwatch/metricAlarm:MetricAlarm",
        "a",
        comparisonOperator="GreaterThanThreshold",
        evaluationPeriods=1,
        dimensions={"Index": f"{table['arn']}/index/by-account"},
    )


def test_used_resources_are_not_deleted(account: Account) -> None:
    vpc, subnets = _network(account, "a")
    with pytest.raises(ProviderError, match=r"Vpc main: DependencyViolation: vpc-\w+ is still used by .* a0"):
        account.delete("ec2/vpc:Vpc", "main", vpc, {"region": "eu-west-1"})
    account.delete("ec2/subnet:Subnet", "a0", subnets[0], {"region": "eu-west-1"})
    account.delete("ec2/vpc:Vpc", "main", vpc, {"region": "eu-west-1"})
    assert account.provider.store.all() == []


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("lb/loadBalancer:LoadBalancer", {"name": "internal-web"}, "must not begin with 'internal-'"),
        ("lb/targetGroup:TargetGroup", {"name": "x" * 33}, "name"),
        ("ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/8"}, "cidrBlock: 10.0.0.0/8 must be between /16 and /28"),
        (
            "cloudfront/distribution:Distribution",
            {
                "enabled": True,
                "origins": [],
                "restrictions": {"geoRestriction": {"restrictionType": "none"}},
                "defaultCacheBehavior": {
                    "allowedMethods": ["GET"],
                    "cachedMethods": ["GET"],
                    "targetOriginId": "o",
                    "viewerProtocolPolicy": "https-only",
                },
                "viewerCertificate": {
                    "acmCertificateArn": "arn:aws:acm:eu-west-1:111111111111:certificate/x"
                },
            },
            "must be in us-east-1",
        ),
        (
            "wafv2/webAcl:WebAcl",
            {
                "scope": "CLOUDFRONT",
                "defaultAction": {"allow": {}},
                "visibilityConfig": {
                    "cloudwatchMetricsEnabled": True,
                    "metricName": "m",
                    "sampledRequestsEnabled": True,
                },
            },
            "scope: CLOUDFRONT is possible only in us-east-1, not in eu-west-1",
        ),
        (
            "dynamodb/table:Table",
            {"hashKey": "id", "attributes": [{"name": "id", "type": "S"}, {"name": "extra", "type": "S"}]},
            "extra is not a key",
        ),
    ],
)
def test_rules_that_break_real_deployments(
    account: Account, kind: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises((ProviderError, AssertionError), match=message.replace("(", r"\(")):
        account.create(kind, "it", **inputs)


def test_rules_over_subnets(account: Account) -> None:
    vpc, subnets = _network(account, "aab")
    with pytest.raises(ProviderError, match="at least 2 Availability Zones"):
        account.create("rds/subnetGroup:SubnetGroup", "g", subnetIds=subnets[:2])
    account.create("rds/subnetGroup:SubnetGroup", "g", subnetIds=subnets)
    with pytest.raises(ProviderError, match=r"10\.0\.0\.0/23 overlaps 10\.0\.0\.0/24 of a0"):
        account.create("ec2/subnet:Subnet", "x", vpcId=vpc, cidrBlock="10.0.0.0/23")
    with pytest.raises(ProviderError, match=r"192\.168\.0\.0/24 is outside"):
        account.create("ec2/subnet:Subnet", "x", vpcId=vpc, cidrBlock="192.168.0.0/24")


def published(account: Account, **changed: Any) -> str:
    """Creates a function with one published version, and returns its name."""
    role, _ = account.create("iam/role:Role", "role", assumeRolePolicy="{}")
    arn = account.provider.store.owner(role)
    assert arn
    inputs: dict[str, Any] = {
        "role": arn.outputs["arn"],
        "publish": True,
        "handler": "h",
        "runtime": "python3.13",
        **changed,
    }
    name, outputs = account.create("lambda/function:Function", "function", **inputs)
    assert outputs["version"] == "1"
    return name


@pytest.mark.parametrize(
    ("version", "weights", "message"),
    [
        ("2", {}, "version 2 does not exist; the newest is 1"),
        ("1", {"2": 0.1}, "version 2 does not exist; the newest is 1"),
        ("1", {"1": 0.1}, "version 1 is already the alias's functionVersion"),
    ],
)
def test_alias_names_versions_that_were_published(
    account: Account, version: str, weights: dict[str, float], message: str
) -> None:
    name = published(account)
    with pytest.raises(ProviderError, match=message):
        account.create(
            "lambda/alias:Alias",
            "live",
            name="live",
            functionName=name,
            functionVersion=version,
            routingConfig={"additionalVersionWeights": weights},
        )


def test_concurrency_of_an_alias_waits_for_its_weights(account: Account) -> None:
    name = published(account)
    row = account.provider.store.owner(name)
    assert row
    for alias, weights in (("plain", {}), ("weighted", {"0": 0.1})):
        account.create(
            "lambda/alias:Alias",
            alias,
            name=alias,
            functionName=name,
            functionVersion="1",
            routingConfig={"additionalVersionWeights": weights},
        )
    kind = "lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    inputs: dict[str, Any] = {"functionName": name, "provisionedConcurrentExecutions": 1}
    account.create(kind, "plain", qualifier="plain", **inputs)
    with pytest.raises(ProviderError, match="Alias with weights can not be used with Provisioned"):
        account.create(kind, "weighted", qualifier="weighted", **inputs)


@pytest.mark.parametrize("path", ["api/accounts/GET", "~1api/accounts/GET", "~1api~1accounts/get", "*/GET"])
def test_path_of_a_methods_settings_is_encoded(account: Account, path: str) -> None:
    kind = "apigateway/methodSettings:MethodSettings"
    api, _ = account.create("apigateway/restApi:RestApi", "api", name="api")
    inputs: dict[str, Any] = {"restApi": api, "stageName": "live", "settings": {}}
    account.create(kind, "right", methodPath="~1api~1accounts~1{proxy+}/GET", **inputs)
    with pytest.raises(ProviderError, match="like ~1api~1accounts/GET"):
        account.create(kind, "wrong", methodPath=path, **inputs)


@pytest.mark.parametrize("name", ["a/../../b", "a b"])
def test_cluster_has_a_name_of_its_kind(account: Account, name: str) -> None:
    network: dict[str, Any] = {"subnetIds": []}
    with pytest.raises(ProviderError, match=r"name: .* must have up to 100 letters"):
        account.create("eks/cluster:Cluster", "c", name=name, roleArn="r", vpcConfig=network)


def test_names_are_unique(account: Account) -> None:
    account.create("s3/bucket:Bucket", "a", bucket="trading-logs")
    with pytest.raises(ProviderError, match=r'AlreadyExists: "trading-logs" is taken by a'):
        account.create("s3/bucket:Bucket", "b", bucket="trading-logs")


_TABLE: dict[str, Any] = {"name": "t", "hashKey": "id", "attributes": [{"name": "id", "type": "S"}]}
_STREAM: dict[str, Any] = {"streamEnabled": True, "streamViewType": "NEW_AND_OLD_IMAGES"}
_CAPACITY: dict[str, Any] = {"readCapacity": 1, "writeCapacity": 1}


def test_two_scalable_targets_of_a_table_are_two(account: Account) -> None:
    account.create("dynamodb/table:Table", "t", **_TABLE, **_CAPACITY)
    for what in ("Read", "Write"):
        account.create(
            "appautoscaling/target:Target",
            what,
            resourceId="table/t",
            scalableDimension=f"dynamodb:table:{what}CapacityUnits",
            serviceNamespace="dynamodb",
            minCapacity=1,
            maxCapacity=2,
        )
    assert len(account.provider.store.all("aws:appautoscaling/target:Target")) == 2


def test_state_survives(account: Account, tmp_path: Path) -> None:
    vpc, outputs = account.create("ec2/vpc:Vpc", "main", cidrBlock="10.0.0.0/16")
    account.provider.store.close()
    again = Account(tmp_path)
    found = again.provider.read(Call(CONFIG, again.urn("ec2/vpc:Vpc", "main"), vpc, outputs=outputs))
    assert found is not None
    assert found[1] == outputs
    again.provider.store.close()


def test_tags_of_the_provider_are_merged(account: Account) -> None:
    _, outputs = account.create("ec2/vpc:Vpc", "main", cidrBlock="10.0.0.0/16", tags={"Name": "main"})
    assert outputs["tagsAll"] == {"Owner": "platform", "Name": "main"}


def test_functions_answer_like_an_account(account: Account) -> None:
    assert account.invoke("index/getCallerIdentity:getCallerIdentity")["accountId"] == "123456789012"
    name = "com.amazonaws.global.cloudfront.origin-facing"
    assert account.invoke("ec2/getManagedPrefixList:getManagedPrefixList", name=name)["id"].startswith("pl-")
    with pytest.raises(ProviderError, match="does not support this AWS function yet"):
        account.invoke("ec2/getAmi:getAmi")


def test_argument_of_a_function_that_is_not_modelled_is_refused(account: Account) -> None:
    with pytest.raises(ProviderError, match="getZone: vpcId: the sandbox does not support this argument"):
        account.invoke("route53/getZone:getZone", name="example.com", vpcId="vpc-0123456789abcdef0")


def test_only_real_regions(account: Account) -> None:
    assert "us-east-1" in regions.names()
    (failure,) = account.provider.check_config({"region": "eu-west-9"})
    assert "'eu-west-9' is not an AWS region" in failure.reason


def test_a_maximum_of_request_units_can_be_lifted(account: Account) -> None:
    """-1 is valid, although the schema's minimum is 1 (DynamoDB API Reference, `OnDemandThroughput`)."""
    most = {"maxReadRequestUnits": 10, "maxWriteRequestUnits": -1}
    account.create(
        "dynamodb/table:Table", "t", **_TABLE, billingMode="PAY_PER_REQUEST", onDemandThroughput=most
    )
    with pytest.raises(AssertionError, match="maxReadRequestUnits"):
        account.create(
            "dynamodb/table:Table",
            "u",
            **_TABLE,
            billingMode="PAY_PER_REQUEST",
            onDemandThroughput={**most, "maxReadRequestUnits": -2},
        )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "readCapacity: must be at least 1"),
        ({**_CAPACITY, "billingMode": "PAY_PER_REQUEST"}, "readCapacity: 1 conflicts with billingMode"),
        (
            {
                **_CAPACITY,
                "globalSecondaryIndexes": [{"name": "i", "hashKey": "id", "projectionType": "ALL"}],
            },
            r"globalSecondaryIndexes\[0\].readCapacity: ProvisionedThroughput must be specified for index i",
        ),
        (
            {**_CAPACITY, "onDemandThroughput": {"maxReadRequestUnits": 1, "maxWriteRequestUnits": 1}},
            "onDemandThroughput: conflicts with billingMode PROVISIONED",
        ),
    ],
)
def test_capacity_goes_with_provisioned_billing(
    account: Account, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProviderError, match=message):
        account.create("dynamodb/table:Table", "t", **_TABLE, **inputs)


@pytest.mark.parametrize(
    ("table", "region", "message"),
    [
        ({"billingMode": "PAY_PER_REQUEST"}, "us-east-1", "needs a stream of NEW_AND_OLD_IMAGES"),
        ({**_CAPACITY, **_STREAM}, "us-east-1", "table/t: write capacity should either be"),
        ({"billingMode": "PAY_PER_REQUEST"}, "eu-west-1", "is in eu-west-1 already"),
    ],
)
def test_a_replica_is_of_a_table_that_can_be_replicated(
    account: Account, table: dict[str, Any], region: str, message: str
) -> None:
    _, outputs = account.create("dynamodb/table:Table", "t", **_TABLE, **table)
    account.config["region"] = region
    with pytest.raises(ProviderError, match=message):
        account.create("dynamodb/tableReplica:TableReplica", "r", globalTableArn=outputs["arn"])


def test_a_replica_is_a_table_of_the_same_name_in_its_region(account: Account) -> None:
    _, table = account.create("dynamodb/table:Table", "t", **_TABLE, **_STREAM, billingMode="PAY_PER_REQUEST")
    account.config["region"] = "us-east-1"
    with pytest.raises(ProviderError, match="does not exist"):
        account.create("dynamodb/contributorInsights:ContributorInsights", "i", tableName="t")
    identifier, replica = account.create(
        "dynamodb/tableReplica:TableReplica", "r", globalTableArn=table["arn"]
    )
    assert identifier == "t:eu-west-1"
    assert replica["arn"] == "arn:aws:dynamodb:us-east-1:123456789012:table/t"
    account.create("dynamodb/contributorInsights:ContributorInsights", "i", tableName="t")


def test_elasticache_publishes_to_no_encrypted_topic(account: Account) -> None:
    _, key = account.create("kms/key:Key", "k")
    _, topic = account.create("sns/topic:Topic", "t", kmsMasterKeyId=key["arn"])
    with pytest.raises(ProviderError, match="notificationTopicArn: t is encrypted"):
        account.create(
            "elasticache/replicationGroup:ReplicationGroup",
            "c",
            description="c",
            notificationTopicArn=topic["arn"],
        )
