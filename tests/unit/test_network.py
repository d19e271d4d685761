"""The VPC of a region: subnets, routes, flow logs and endpoints, and the endpoints of an existing VPC."""

import ipaddress
import json
from dataclasses import replace
from typing import Any, Literal

import pulumi
import pytest

from components.network import Network, NetworkArgs
from sandbox.aws import account
from sandbox.aws.account import Account
from sandbox.aws.store import Row
from settings import INTERFACE_SERVICES, ExistingVpc, RegionSettings
from tests.unit.existing_network import existing_vpc
from tests.unit.harness import ACCOUNT, Graph, context, deploy

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def _deploy(
    *,
    cidr: str = "10.0.0.0/16",
    nat_gateways: Literal["perZone", "one"] = "perZone",
    existing: ExistingVpc | None = None,
    existing_account: Account = ACCOUNT,
) -> tuple[Graph, Network]:
    region = RegionSettings(name="us-east-1", cidr=cidr, availability_zones=ZONES)
    made: list[Network] = []

    def program() -> None:
        made.append(
            Network(
                "network",
                NetworkArgs(
                    context=context(region=region.name, key_arn=KEY, log_retention_days=30),
                    cidr=region.cidr,
                    availability_zones=region.availability_zones,
                    plan=region.subnet_plan(),
                    nat_gateways=nat_gateways,
                    existing=existing,
                ),
            )
        )

    return deploy(program, account=existing_account), made[0]


@pytest.fixture(scope="module")
def network() -> tuple[Graph, Network]:
    return _deploy()


@pytest.fixture(scope="module")
def graph(network: tuple[Graph, Network]) -> Graph:
    return network[0]


def _routes(graph: Graph, kind: str) -> list[dict[str, Any]]:
    return graph.named(f"network-{kind}", "aws:ec2/routeTable:RouteTable").inputs.get("routes", [])


def test_data_stores_have_no_route_out(graph: Graph) -> None:
    assert _routes(graph, "isolated") == []
    for zone in ZONES:
        for kind in ("isolated", "endpoint"):
            association = graph.named(
                f"network-{kind}-{zone}", "aws:ec2/routeTableAssociation:RouteTableAssociation"
            )
            assert "network-isolated" in association.depends_on


def test_each_zone_leaves_by_its_own_nat_gateway(graph: Graph) -> None:
    gateways = {_routes(graph, f"private-{zone}")[0]["natGatewayId"] for zone in ZONES}
    assert len(gateways) == 3
    for zone in ZONES:
        table = graph.named(f"network-private-{zone}", "aws:ec2/routeTable:RouteTable")
        assert f"network-nat-{zone}" in table.depends_on


def test_one_nat_gateway_serves_every_zone_where_settings_say_so() -> None:
    graph, _ = _deploy(nat_gateways="one")
    assert len(graph.of("aws:ec2/natGateway:NatGateway")) == 1
    assert len({_routes(graph, f"private-{zone}")[0]["natGatewayId"] for zone in ZONES}) == 1


def test_no_subnet_gives_out_public_addresses(graph: Graph) -> None:
    assert {subnet.inputs["mapPublicIpOnLaunch"] for subnet in graph.of("aws:ec2/subnet:Subnet")} == {False}


def test_subnets_do_not_overlap(graph: Graph) -> None:
    blocks = [
        ipaddress.IPv4Network(subnet.inputs["cidrBlock"]) for subnet in graph.of("aws:ec2/subnet:Subnet")
    ]
    assert len(blocks) == 12
    assert not [(a, b) for i, a in enumerate(blocks) for b in blocks[:i] if a.overlaps(b)]


def test_default_security_group_lets_nothing_through(graph: Graph) -> None:
    group = graph.only("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert not group.get("ingress")
    assert not group.get("egress")


def test_flow_logs_are_encrypted_and_kept_as_long_as_told(graph: Graph) -> None:
    log_group = graph.only("aws:cloudwatch/logGroup:LogGroup").inputs
    assert (log_group["kmsKeyId"], log_group["retentionInDays"]) == (KEY, 30)
    assert graph.only("aws:ec2/flowLog:FlowLog").inputs["trafficType"] == "ALL"


def test_flow_logs_role_is_for_flow_logs_of_this_account(graph: Graph) -> None:
    policy = json.loads(graph.only("aws:iam/role:Role").inputs["assumeRolePolicy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}


def test_api_endpoint_has_the_ninth_address_of_each_endpoint_subnet(
    network: tuple[Graph, Network],
) -> None:
    graph, made = network
    endpoint = graph.named("network-api-endpoint", "aws:ec2/vpcEndpoint:VpcEndpoint").inputs
    addresses = [item["ipv4"] for item in endpoint["subnetConfigurations"]]
    assert addresses == ["10.0.192.8", "10.0.192.24", "10.0.192.40"]
    assert made.api_endpoint_addresses == addresses
    assert [item["subnetId"] for item in endpoint["subnetConfigurations"]] == endpoint["subnetIds"]
    assert endpoint["privateDnsEnabled"] is False


def test_no_other_endpoint_can_take_a_pinned_address(graph: Graph) -> None:
    pinned = set(graph.named("network-api-endpoint", "aws:ec2/vpcEndpoint:VpcEndpoint").inputs["subnetIds"])
    for service in INTERFACE_SERVICES:
        endpoint = graph.named(f"network-{service}", "aws:ec2/vpcEndpoint:VpcEndpoint")
        assert not pinned & set(endpoint.inputs["subnetIds"])


def test_gateway_endpoints_reach_only_data_of_this_account(graph: Graph) -> None:
    for service in ("s3", "dynamodb"):
        endpoint = graph.named(f"network-{service}", "aws:ec2/vpcEndpoint:VpcEndpoint").inputs
        assert len(endpoint["routeTableIds"]) == 3
        ours, *others = json.loads(endpoint["policy"])["Statement"]
        assert ours["Condition"] == {"StringEquals": {"aws:ResourceAccount": "123456789012"}}
        assert all("starport-layer-bucket" in statement["Resource"] for statement in others)


def test_tables_have_an_endpoint_with_addresses_of_the_vpc(network: tuple[Graph, Network]) -> None:
    endpoint = network[0].named("network-dynamodb-interface", "aws:ec2/vpcEndpoint:VpcEndpoint")
    assert endpoint.inputs["vpcEndpointType"] == "Interface"
    assert endpoint.inputs["privateDnsEnabled"] is False, "the function stays with the gateway endpoint"
    (statement,) = json.loads(endpoint.inputs["policy"])["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": "123456789012"}}


def _existing(cidr: str, there: list[str] | None = None, **settings: Any) -> tuple[Graph, Network]:
    """The network of a region with this CIDR block, in an existing VPC with the block 10.200.0.0/16.

    `there` has the interface endpoints of the VPC, if they aren't those that the settings name.
    """
    vpc = existing_vpc({"cidr": "10.200.0.0/16", "availabilityZones": ZONES}) | settings
    del vpc["routeTableIds"]
    known = vpc if there is None else {**vpc, "interfaceEndpoints": there}
    region = {"name": "us-east-1", "cidr": "10.200.0.0/16", "availabilityZones": ZONES, "existingVpc": known}
    existing = Account.of([{"trading:regions": [region]}])
    return _deploy(cidr=cidr, existing=ExistingVpc.model_validate(vpc), existing_account=existing)


def test_existing_vpc_gets_endpoints_only() -> None:
    graph, network = _existing("10.200.0.0/16")
    types = {resource.type for resource in graph.resources if resource.type.startswith("aws:")}
    assert types == {
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ec2/securityGroup:SecurityGroup",
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    }
    kinds = {endpoint.inputs["vpcEndpointType"] for endpoint in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")}
    assert kinds == {"Interface"}, "no route tables were given"
    assert network.api_endpoint_addresses == ["10.200.9.8", "10.200.10.8", "10.200.11.8"]


def test_endpoint_that_the_vpc_has_is_used() -> None:
    present = {"interfaceEndpoints": ["secretsmanager", "ecr.dkr"]}
    graph, _ = _existing("10.200.0.0/16", **present)
    made = {
        endpoint.inputs["serviceName"].removeprefix("com.amazonaws.us-east-1.")
        for endpoint in graph.of(ENDPOINT)
    }
    assert made == {*INTERFACE_SERVICES, "dynamodb", "execute-api"} - {"secretsmanager", "ecr.dkr"}


def test_endpoint_that_the_vpc_does_not_have_is_refused() -> None:
    with pytest.raises(Exception, match="no EC2 VPC Endpoint matched"):
        _existing("10.200.0.0/16", interfaceEndpoints=["sts"], there=[])


def test_endpoint_without_private_dns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def interface_endpoint(network: Any, service: str) -> Row:
        row = made(network, service)
        return replace(row, outputs={**row.outputs, "privateDnsEnabled": False})

    made = account._Network._interface_endpoint  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(account._Network, "_interface_endpoint", interface_endpoint)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(pulumi.RunError, match="sts: private DNS is disabled"):
        _existing("10.200.0.0/16", interfaceEndpoints=["sts"])


def test_existing_vpc_of_another_block_is_refused() -> None:
    with pytest.raises(Exception, match="no EC2 VPC matched"):
        _existing("10.0.0.0/16")
