"""The sandbox's account contains exactly the resources that stack files require to exist."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sandbox.aws.account import Account
from sandbox.aws.provider import AwsProvider
from sandbox.rpc import Call, ProviderError
from sandbox.values import is_dict, is_list
from tests.unit.existing_network import existing_vpc
from tests.unit.harness import Graph, deploy_platform, stack_values

REGION: dict[str, Any] = {
    "name": "eu-west-1",
    "cidr": "10.9.0.0/16",
    "availabilityZones": ["eu-west-1a", "eu-west-1b"],
}
VPC: dict[str, Any] = {**existing_vpc(REGION), "interfaceEndpoints": ["sts"]}
ROLE = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/Traders"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:trading/other-AbCdEf"
CONFIGURATION: dict[str, Any] = {
    "trading:domain": {"zone": "trading-desk.io", "host": "trade.trading-desk.io"},
    "trading:regions": [{**REGION, "existingVpc": VPC}],
    "trading:cluster": {"adminRoleArns": [ROLE]},
    "trading:services": [{"name": "orders", "secrets": {"KEY": "trading/key", "OTHER": SECRET}}],
}
FILES = ("Pulumi.dev.yaml", "Pulumi.prod.yaml")


class Caller:
    """Calls the simulated provider in the same way as the engine."""

    def __init__(self, provider: AwsProvider) -> None:
        self.provider = provider
        self.config = {"region": "eu-west-1"}

    def look_up(self, token: str, **arguments: Any) -> dict[str, Any]:
        return self.provider.invoke(self.config, f"aws:{token}", arguments)

    def create(self, kind: str, **inputs: Any) -> dict[str, Any]:
        urn = f"urn:pulumi:test::trading::aws:{kind}::new"
        checked, failures = self.provider.check(Call(self.config, urn, inputs=inputs))
        assert not failures
        identifier, outputs = self.provider.create(Call(self.config, urn, inputs=checked))
        return {**outputs, "id": identifier}


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    provider = AwsProvider(tmp_path, account=Account.of([CONFIGURATION], FILES))
    yield Caller(provider)
    provider.store.close()


def test_zone_that_a_stack_file_names_is_found_and_takes_records(caller: Caller) -> None:
    zone = caller.look_up("route53/getZone:getZone", name="trading-desk.io", privateZone=False)
    assert zone == caller.look_up("route53/getZone:getZone", name="trading-desk.io.") | {"privateZone": False}
    assert len(zone["nameServers"]) == 4
    caller.create("route53/record:Record", zoneId=zone["zoneId"], name="www.trading-desk.io", type="A")


def test_zone_is_still_found_once_something_else_has_its_id(caller: Caller) -> None:
    zone = caller.look_up("route53/getZone:getZone", name="trading-desk.io")["zoneId"]
    assert caller.create("route53/hostedZoneDnsSec:HostedZoneDnsSec", hostedZoneId=zone)["id"] == zone
    caller.create("route53/record:Record", zoneId=zone, name="www.trading-desk.io", type="A")


@pytest.mark.parametrize("name", ["example.com", "trade.trading-desk.io", "io", ""])
def test_zone_that_no_stack_file_names_is_refused_with_the_files_that_were_read(
    caller: Caller, name: str
) -> None:
    with pytest.raises(ProviderError, match="no Route 53 Hosted Zone matched") as raised:
        caller.look_up("route53/getZone:getZone", name=name)
    assert "those that Pulumi.dev.yaml, Pulumi.prod.yaml name" in str(raised.value)


def test_zone_that_was_deployed_is_found(caller: Caller) -> None:
    made = caller.create("route53/zone:Zone", name="new.io")
    assert caller.look_up("route53/getZone:getZone", name="new.io")["zoneId"] == made["zoneId"]
    caller.create("route53/zone:Zone", name="inside", vpcs=[{"vpcId": VPC["id"]}])
    assert caller.look_up("route53/getZone:getZone", name="inside", privateZone=True)["id"]
    with pytest.raises(ProviderError, match="no Route 53 Hosted Zone matched"):
        caller.look_up("route53/getZone:getZone", name="inside")


def test_vpc_has_the_regions_block(caller: Caller) -> None:
    found = caller.look_up("ec2/getVpc:getVpc", id=VPC["id"], cidrBlock="10.9.0.0/16")
    assert (found["state"], found["enableDnsHostnames"]) == ("available", True)
    with pytest.raises(ProviderError, match=r"no EC2 VPC matched .*10\.0\.0\.0/16"):
        caller.look_up("ec2/getVpc:getVpc", id=VPC["id"], cidrBlock="10.0.0.0/16")


def test_subnets_lie_in_their_zones_by_position(caller: Caller) -> None:
    for kind in ("public", "private", "isolated", "endpoint"):
        for zone, subnet in zip(REGION["availabilityZones"], VPC[f"{kind}Subnets"], strict=True):
            found = caller.look_up("ec2/getSubnet:getSubnet", id=subnet["id"])
            assert (found["vpcId"], found["availabilityZone"]) == (VPC["id"], zone)
            assert found["cidrBlock"] == subnet["cidr"]


def routes(caller: Caller, subnet: dict[str, str]) -> tuple[str, list[str]]:
    found = caller.look_up("ec2/getRouteTable:getRouteTable", subnetId=subnet["id"])
    return found["routeTableId"], [target for route in found["routes"] for target in route]


def test_subnets_are_routed_as_their_kind_says(caller: Caller) -> None:
    for zone, table in enumerate(VPC["routeTableIds"]):
        assert routes(caller, VPC["publicSubnets"][zone])[1] == ["cidrBlock", "gatewayId"]
        assert routes(caller, VPC["privateSubnets"][zone]) == (table, ["cidrBlock", "natGatewayId"])
        assert routes(caller, VPC["isolatedSubnets"][zone])[1] == []
        assert routes(caller, VPC["endpointSubnets"][zone])[1] == []


def test_what_is_built_in_the_vpc_is_held_to_it(caller: Caller) -> None:
    group = caller.create("ec2/securityGroup:SecurityGroup", name="a", vpcId=VPC["id"])
    caller.create(
        "lb/loadBalancer:LoadBalancer",
        name="public",
        loadBalancerType="application",
        securityGroups=[group["id"]],
        subnets=[subnet["id"] for subnet in VPC["publicSubnets"]],
    )
    with pytest.raises(ProviderError, match=r"subnets: .* 2 Availability Zones are required"):
        caller.create(
            "lb/loadBalancer:LoadBalancer",
            name="one-zone",
            loadBalancerType="application",
            subnets=[VPC["publicSubnets"][0]["id"]],
        )
    with pytest.raises(ProviderError, match=r"cidrBlock: 10\.9\.0\.0/25 overlaps 10\.9\.0\.0/24"):
        caller.create("ec2/subnet:Subnet", vpcId=VPC["id"], cidrBlock="10.9.0.0/25")
    with pytest.raises(ProviderError, match=r"cidrBlock: 10\.8\.0\.0/24 is outside"):
        caller.create("ec2/subnet:Subnet", vpcId=VPC["id"], cidrBlock="10.8.0.0/24")


ENDPOINT: dict[str, Any] = {
    "vpcId": VPC["id"],
    "vpcEndpointType": "Interface",
    "serviceName": "com.amazonaws.eu-west-1.execute-api",
}


@pytest.mark.parametrize(("address", "free"), [("10.9.6.8", True), ("10.9.6.3", False), ("10.9.7.8", False)])
def test_address_of_an_endpoint_is_a_free_one_of_its_subnet(caller: Caller, address: str, free: bool) -> None:
    subnet = VPC["endpointSubnets"][0]
    assert subnet["cidr"] == "10.9.6.0/24"
    configured = [{"subnetId": subnet["id"], "ipv4": address}]
    inputs = {**ENDPOINT, "subnetIds": [subnet["id"]], "subnetConfigurations": configured}
    if free:
        caller.create("ec2/vpcEndpoint:VpcEndpoint", **inputs)
        return
    with pytest.raises(
        ProviderError, match=rf"subnetConfigurations\[0\].ipv4: {address} is not a free address"
    ):
        caller.create("ec2/vpcEndpoint:VpcEndpoint", **inputs)


def test_endpoint_stands_in_subnets_of_its_vpc(caller: Caller) -> None:
    other = caller.create("ec2/vpc:Vpc", cidrBlock="10.1.0.0/16")
    subnets = [VPC["privateSubnets"][0]["id"]]
    with pytest.raises(ProviderError, match=r"subnetIds: .* is in vpc-00000000000000001, not in vpc-"):
        caller.create("ec2/vpcEndpoint:VpcEndpoint", **{**ENDPOINT, "vpcId": other["id"]}, subnetIds=subnets)


def test_vpc_has_one_private_name_and_a_route_table_one_route_for_a_service(caller: Caller) -> None:
    service = "com.amazonaws.eu-west-1.sts"
    found = caller.look_up("ec2/getVpcEndpoint:getVpcEndpoint", vpcId=VPC["id"], serviceName=service)
    assert found["privateDnsEnabled"] is True
    endpoint = {"vpcId": VPC["id"], "serviceName": service, "vpcEndpointType": "Interface"}
    caller.create("ec2/vpcEndpoint:VpcEndpoint", **endpoint, privateDnsEnabled=False)
    with pytest.raises(ProviderError, match=rf"conflicting DNS domain for {service} in the VPC {VPC['id']}"):
        caller.create("ec2/vpcEndpoint:VpcEndpoint", **endpoint, privateDnsEnabled=True)
    gateway = {"vpcId": VPC["id"], "serviceName": "com.amazonaws.eu-west-1.s3", "vpcEndpointType": "Gateway"}
    first, second = VPC["routeTableIds"]
    caller.create("ec2/vpcEndpoint:VpcEndpoint", **gateway, routeTableIds=[first])
    caller.create("ec2/vpcEndpoint:VpcEndpoint", **gateway, routeTableIds=[second])
    with pytest.raises(ProviderError, match=f"route table {first} already has a route to"):
        caller.create("ec2/vpcEndpoint:VpcEndpoint", **gateway, routeTableIds=[first])


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        (
            "ec2/securityGroup:SecurityGroup",
            {"vpcId": "vpc-0123456789abcdef0"},
            "vpcId: vpc-0123456789abcdef0 does not exist in eu-west-1; the sandbox only has",
        ),
        (
            "rds/subnetGroup:SubnetGroup",
            {"subnetIds": ["subnet-0123456789abcdef0"]},
            r"subnetIds\[0\]: subnet-0123456789abcdef0 does not exist in eu-west-1; the sandbox only has",
        ),
        (
            "eks/accessEntry:AccessEntry",
            {"clusterName": "c", "principalArn": "arn:aws:iam::123456789012:role/nobody"},
            "principalArn: arn:aws:iam::123456789012:role/nobody does not exist; the sandbox only has",
        ),
        (
            "route53/record:Record",
            {"zoneId": "Z0123456789ABCDEFGHIJ", "name": "a", "type": "A"},
            'zoneId: Zone "Z0123456789ABCDEFGHIJ" does not exist; the sandbox only has',
        ),
    ],
)
def test_what_no_stack_file_names_does_not_exist(
    caller: Caller, kind: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProviderError, match=message):
        caller.create(kind, **inputs)


def test_vpc_exists_in_its_own_region_only(caller: Caller) -> None:
    caller.config["region"] = "us-east-1"
    with pytest.raises(ProviderError, match="does not exist in us-east-1"):
        caller.create("ec2/securityGroup:SecurityGroup", name="a", vpcId=VPC["id"])
    with pytest.raises(ProviderError, match="no EC2 VPC matched"):
        caller.look_up("ec2/getVpc:getVpc", id=VPC["id"])


def test_roles_and_secrets_that_a_stack_file_names_exist(caller: Caller) -> None:
    assert caller.look_up("iam/getRole:getRole", name="Traders")["arn"] == ROLE
    found = caller.look_up("secretsmanager/getSecret:getSecret", name="trading/key")
    assert found["arn"].startswith("arn:aws:secretsmanager:eu-west-1:123456789012:secret:trading/key-")
    assert caller.look_up("secretsmanager/getSecret:getSecret", arn=SECRET)["name"] == "trading/other"
    with pytest.raises(ProviderError, match="no Secrets Manager Secret matched"):
        caller.look_up("secretsmanager/getSecret:getSecret", name="trading/ke")


def test_anything_else_that_a_stack_file_names_may_be_referred_to(tmp_path: Path) -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    for account, exists in ((Account.of([{"trading:more": {"keys": [key]}}]), True), (Account(), False)):
        provider = AwsProvider(tmp_path, account=account)
        if exists:
            Caller(provider).create("sqs/queue:Queue", name="q", kmsMasterKeyId=key)
        else:
            with pytest.raises(ProviderError, match=f"{key} does not exist"):
                Caller(provider).create("sqs/queue:Queue", name="r", kmsMasterKeyId=key)
        provider.store.close()


def test_account_is_not_among_what_was_deployed(caller: Caller) -> None:
    assert caller.provider.store.all() == []


def test_services_and_regions_may_be_mappings_by_name_and_values_json_text() -> None:
    by_name = copy.deepcopy(CONFIGURATION)
    for key in ("trading:services", "trading:regions"):
        by_name[key] = {item["name"]: {k: v for k, v in item.items() if k != "name"} for item in by_name[key]}
    as_text = {key.removeprefix("trading:"): json.dumps(value) for key, value in CONFIGURATION.items()}
    expected = Account.of([CONFIGURATION])
    assert Account.of([by_name]) == expected
    assert Account.of([as_text]) == expected


def test_several_stack_files_add_up() -> None:
    other: dict[str, Any] = {"trading:domain": {"zone": "other.io"}, "trading:regions": [REGION]}
    both, first, second = (Account.of(c) for c in ([other, CONFIGURATION], [other], [CONFIGURATION]))
    assert both.resources == first.resources + second.resources
    assert both == Account.of([other, CONFIGURATION, other])


def _wrong(value: Any, bad: Any) -> Iterator[Any]:
    """Copies of a value, in each of which one part is replaced."""
    yield bad
    parts: list[tuple[Any, Any]] = []
    if is_dict(value):
        parts = list(value.items())
    elif is_list(value):
        parts = list(enumerate(value))
    for key, item in parts:
        for changed in _wrong(item, bad):
            found = copy.copy(value)
            found[key] = changed
            yield found


@pytest.mark.parametrize("bad", [None, 0, "", "text", "{", "[", [], [None], {}, {"a": None}, [[]]], ids=repr)
def test_settings_that_are_not_understood_say_nothing(bad: Any) -> None:
    configurations = [found for found in _wrong(CONFIGURATION, bad) if is_dict(found)]
    assert len(configurations) > 50
    for configuration in configurations:
        Account.of([configuration])


# The whole platform


def with_existing_networks(stack: str, regions: int) -> dict[str, Any]:
    values = stack_values(stack)
    if regions == 1:
        values["trading:domain"] = {"zone": "trading-desk.io", "host": "trade.trading-desk.io"}
    found: list[dict[str, Any]] = values["trading:regions"]
    assert len(found) == regions
    for number, region in enumerate(found, 1):
        region["existingVpc"] = existing_vpc(region, number)
    return values


@pytest.mark.parametrize(("stack", "regions"), [("small", 1), ("full", 2)])
def test_platform_stands_in_existing_vpcs(stack: str, regions: int) -> None:
    values = with_existing_networks(stack, regions)
    graph: Graph = deploy_platform(stack, values)
    assert not graph.of("aws:ec2/vpc:Vpc")
    assert not graph.of("aws:ec2/subnet:Subnet")
    vpcs = [region["existingVpc"] for region in values["trading:regions"]]
    named = [result["id"] for token, result in graph.looked_up if token == "aws:ec2/getVpc:getVpc"]
    assert sorted(named) == [vpc["id"] for vpc in vpcs]
    groups = {group.inputs["vpcId"] for group in graph.of("aws:ec2/securityGroup:SecurityGroup")}
    assert groups == set(named)
    public = {subnet["id"] for vpc in vpcs for subnet in vpc["publicSubnets"]}
    balancers = [
        item for item in graph.of("aws:lb/loadBalancer:LoadBalancer") if not item.inputs.get("internal")
    ]
    assert {subnet for item in balancers for subnet in item.inputs["subnets"]} == public
    gateways = [
        item.inputs["routeTableIds"]
        for item in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
        if item.inputs["vpcEndpointType"] == "Gateway"
    ]
    assert len(gateways) == 2 * regions


def test_platform_in_a_vpc_whose_endpoint_subnet_lies_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = with_existing_networks("small", 1)
    account = Account.of([values])
    monkeypatch.setattr(Account, "of", Mock(return_value=account))
    subnets = values["trading:regions"][0]["existingVpc"]["endpointSubnets"]
    subnets[0]["id"], subnets[1]["id"] = subnets[1]["id"], subnets[0]["id"]
    with pytest.raises(Exception, match="is not a free address of"):
        deploy_platform("small", values)
