"""The network of one region: VPC, subnets over the zones, NAT, flow logs and endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import RegionContext
from components.common.iam import policy_document, service_trust
from components.common.logs import all_streams, log_group
from components.common.signals import Signal
from settings import ExistingVpc, SubnetPlan

INTERFACE_SERVICES = ("aps-workspaces", "ecr.api", "ecr.dkr", "eks-auth", "logs", "secretsmanager", "sts")
"""What nodes and pods call all the time: metric queries, images, Pod Identity, logs, secrets, credentials.
The rest leaves by NAT, since every interface endpoint is paid by the hour and zone."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Settings of a region's network."""

    context: RegionContext
    cidr: str
    availability_zones: Sequence[str]
    plan: SubnetPlan
    nat_gateways: Literal["perZone", "one"]
    """Also in how many zones there are interface endpoints: all, or the first."""
    existing: ExistingVpc | None
    """Use this VPC and its subnets, and add endpoints only. Its first block must be `cidr`."""


class Network(Component):
    """A VPC with public, private, isolated and endpoint subnets in every zone.

    Public subnets hold the load balancer and NAT gateways; private ones the pods, the function and the
    internal load balancer; isolated ones, which have no route out, the data stores; the small endpoint
    subnets the pinned addresses of the API's endpoint.

    A subnet's id is known once its routes stand, so that what is built in it can reach out from its first
    second, and still can while it is torn down.
    """

    vpc_id: pulumi.Output[str]
    cidr: str
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    isolated_subnet_ids: list[pulumi.Output[str]]
    api_endpoint_id: pulumi.Output[str]
    """The `execute-api` interface endpoint (private DNS off: the API has names of its own)."""
    api_endpoint_addresses: list[str]
    """Its pinned IPv4 addresses, one a zone, known before the deployment (the ninth address of each
    endpoint subnet: AWS reserves the first four and the last)."""
    api_endpoint_security_group_id: pulumi.Output[str]
    """Empty; whoever connects adds the rule."""
    dynamodb_prefix_list_id: pulumi.Output[str]
    dynamodb_endpoint: pulumi.Output[str]
    """URL at which DynamoDB answers with addresses of this VPC."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Network", name, opts)
        self._name, self._args = name, args
        self._invoke = pulumi.InvokeOptions(parent=self)
        self.cidr = args.cidr

        if args.existing:
            endpoint_subnet_ids, route_table_ids = self._use(args.existing)
            endpoint_blocks = [subnet.cidr for subnet in args.existing.endpoint_subnets]
        else:
            endpoint_subnet_ids, route_table_ids = self._build()
            endpoint_blocks = list(args.plan.endpoint)
            self._flow_logs()

        if route_table_ids:
            self._gateway_endpoints(route_table_ids)
        # AWS has a prefix list per service and region, whether or not this VPC has the endpoint.
        self.dynamodb_prefix_list_id = aws.ec2.get_managed_prefix_list_output(
            name=self._service("dynamodb"), opts=self._invoke
        ).id
        self._interface_endpoints()
        self._api_endpoint(endpoint_subnet_ids, endpoint_blocks)
        self.register_outputs(
            {
                "vpcId": self.vpc_id,
                "publicSubnetIds": self.public_subnet_ids,
                "privateSubnetIds": self.private_subnet_ids,
                "isolatedSubnetIds": self.isolated_subnet_ids,
                "apiEndpointId": self.api_endpoint_id,
                "apiEndpointAddresses": self.api_endpoint_addresses,
            }
        )

    def _service(self, service: str) -> str:
        return f"com.amazonaws.{self._args.context.region}.{service}"

    def _use(self, existing: ExistingVpc) -> tuple[list[pulumi.Output[str]], list[pulumi.Input[str]]]:
        """Takes an existing VPC over; a wrong id or block fails the look-up, before anything is built."""
        self.vpc_id = aws.ec2.get_vpc_output(id=existing.id, cidr_block=self._args.cidr, opts=self._invoke).id
        self.public_subnet_ids, self.private_subnet_ids, self.isolated_subnet_ids, endpoint_subnet_ids = (
            [pulumi.Output.from_input(subnet.id) for subnet in subnets]
            for subnets in (
                existing.public_subnets,
                existing.private_subnets,
                existing.isolated_subnets,
                existing.endpoint_subnets,
            )
        )
        return endpoint_subnet_ids, list(existing.route_table_ids)

    def _build(self) -> tuple[list[pulumi.Output[str]], list[pulumi.Input[str]]]:
        """VPC, subnets and routes; gives the endpoint subnets and the private route tables."""
        args = self._args
        vpc = aws.ec2.Vpc(
            self._name,
            cidr_block=args.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={"Name": self._name},
            opts=self.child(),
        )
        self.vpc_id = vpc.id
        # Without rules: whatever forgets to name a security group gets one that lets nothing through.
        aws.ec2.DefaultSecurityGroup(self._name, vpc_id=vpc.id, opts=self.child())
        gateway = aws.ec2.InternetGateway(
            self._name, vpc_id=vpc.id, tags={"Name": self._name}, opts=self.child()
        )

        public_table = self._route_table("public", {"cidr_block": "0.0.0.0/0", "gateway_id": gateway.id})
        isolated_table = self._route_table("isolated")
        self.public_subnet_ids = [
            self._subnet("public", zone, block, public_table, {"kubernetes.io/role/elb": "1"})
            for zone, block in zip(args.availability_zones, args.plan.public, strict=True)
        ]
        self.isolated_subnet_ids = [
            self._subnet("isolated", zone, block, isolated_table)
            for zone, block in zip(args.availability_zones, args.plan.isolated, strict=True)
        ]
        endpoint_subnet_ids = [
            self._subnet("endpoint", zone, block, isolated_table)
            for zone, block in zip(args.availability_zones, args.plan.endpoint, strict=True)
        ]

        nat_zones = args.availability_zones if args.nat_gateways == "perZone" else args.availability_zones[:1]
        nats = [
            self._nat_gateway(zone, subnet_id)
            for zone, subnet_id in zip(nat_zones, self.public_subnet_ids, strict=False)
        ]
        private_tables = [
            self._route_table(
                f"private-{zone}",
                {"cidr_block": "0.0.0.0/0", "nat_gateway_id": nats[min(index, len(nats) - 1)].id},
            )
            for index, zone in enumerate(args.availability_zones)
        ]
        self.private_subnet_ids = [
            self._subnet("private", zone, block, table, {"kubernetes.io/role/internal-elb": "1"})
            for zone, block, table in zip(
                args.availability_zones, args.plan.private, private_tables, strict=True
            )
        ]
        return endpoint_subnet_ids, [table.id for table in private_tables]

    def _route_table(self, kind: str, *routes: aws.ec2.RouteTableRouteArgsDict) -> aws.ec2.RouteTable:
        # Inline routes: the table, and with it what stands in its subnets, then depends on the gateway.
        return aws.ec2.RouteTable(
            f"{self._name}-{kind}",
            vpc_id=self.vpc_id,
            routes=list(routes),
            tags={"Name": f"{self._name}-{kind}"},
            opts=self.child(),
        )

    def _subnet(
        self,
        kind: str,
        zone: str,
        block: str,
        table: aws.ec2.RouteTable,
        tags: dict[str, str] | None = None,
    ) -> pulumi.Output[str]:
        name = f"{self._name}-{kind}-{zone}"
        subnet = aws.ec2.Subnet(
            name,
            vpc_id=self.vpc_id,
            availability_zone=zone,
            cidr_block=block,
            # Load balancers and NAT gateways bring their own addresses; nothing else gets a public one.
            map_public_ip_on_launch=False,
            tags={"Name": name, **(tags or {})},
            opts=self.child(),
        )
        association = aws.ec2.RouteTableAssociation(
            name, subnet_id=subnet.id, route_table_id=table.id, opts=self.child()
        )
        return pulumi.Output.all(subnet.id, association.id).apply(lambda ids: ids[0])

    def _nat_gateway(self, zone: str, subnet_id: pulumi.Output[str]) -> aws.ec2.NatGateway:
        name = f"{self._name}-nat-{zone}"
        address = aws.ec2.Eip(name, domain="vpc", tags={"Name": name}, opts=self.child())
        nat = aws.ec2.NatGateway(
            name,
            allocation_id=address.allocation_id,
            subnet_id=subnet_id,
            tags={"Name": name},
            opts=self.child(),
        )
        # "Monitor NAT gateways with Amazon CloudWatch", VPC user guide.
        self.report(
            Signal(
                name=f"nat-port-allocation-{zone}",
                runbook="nat-port-allocation",
                title=f"The NAT gateway in {zone} can't open more connections",
                namespace="AWS/NATGateway",
                metric="ErrorPortAllocation",
                dimensions={"NatGatewayId": nat.id},
                statistic="Sum",
                threshold=0,
                reason="A NAT gateway has 55,000 ports per destination. Further connections fail.",
                severity="warning",
            ),
            Signal(
                name=f"nat-packets-dropped-{zone}",
                runbook="nat-packets-dropped",
                title=f"The NAT gateway in {zone} drops packets",
                namespace="AWS/NATGateway",
                metric="PacketsDropCount",
                dimensions={"NatGatewayId": nat.id},
                statistic="Sum",
                expression="metric / (outwards + inwards)",
                others={
                    "outwards": ("PacketsInFromSource", "Sum"),
                    "inwards": ("PacketsInFromDestination", "Sum"),
                },
                threshold=0.0001,
                reason="The threshold is a share of all packets. AWS recommends investigating losses of "
                "more than one in ten thousand.",
                severity="warning",
                period_seconds=300,
            ),
        )
        return nat

    def _flow_logs(self) -> None:
        name = f"{self._name}-flow-logs"
        logs = log_group(self, name, self._args.context)
        role = aws.iam.Role(
            name,
            assume_role_policy=service_trust(
                "vpc-flow-logs.amazonaws.com",
                {
                    "StringEquals": {"aws:SourceAccount": self.account_id},
                    "ArnLike": {
                        "aws:SourceArn": pulumi.Output.format(
                            "arn:aws:ec2:{0}:{1}:vpc-flow-log/*", self._args.context.region, self.account_id
                        )
                    },
                },
            ),
            opts=self.child(),
        )
        policy = aws.iam.RolePolicy(
            name,
            role=role.name,
            policy=policy_document(
                {
                    "Effect": "Allow",
                    "Action": [
                        "logs:CreateLogStream",
                        "logs:PutLogEvents",
                        "logs:DescribeLogStreams",
                    ],
                    "Resource": all_streams(logs.arn),
                },
                # It lists the names of all groups: there is no narrower resource.
                {"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"},
            ),
            opts=self.child(),
        )
        aws.ec2.FlowLog(
            name,
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination=logs.arn,
            iam_role_arn=role.arn,
            # The role's ARN does not show that it may write yet.
            opts=self.child(depends_on=[policy]),
        )

    def _gateway_endpoints(self, route_table_ids: list[pulumi.Input[str]]) -> None:
        """S3 and DynamoDB without NAT, and only where the data is ours: no way to carry it elsewhere."""
        ours = self._ours()
        image_layers = {
            # ECR keeps its layers in a bucket of AWS ("Amazon ECR interface VPC endpoints").
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::prod-{self._args.context.region}-starport-layer-bucket/*",
        }
        for service, statements in {"s3": [ours, image_layers], "dynamodb": [ours]}.items():
            aws.ec2.VpcEndpoint(
                f"{self._name}-{service}",
                vpc_id=self.vpc_id,
                service_name=self._service(service),
                vpc_endpoint_type="Gateway",
                route_table_ids=route_table_ids,
                policy=policy_document(*statements),
                tags={"Name": f"{self._name}-{service}"},
                opts=self.child(),
            )

    def _ours(self) -> dict[str, object]:
        """The statement of an endpoint's policy that lets through what belongs to this account."""
        return {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceAccount": self.account_id}},
        }

    def _interface_endpoints(self) -> None:
        """They stand in the private subnets: in an endpoint subnet one might take the pinned address.

        Their policies stay AWS's default but for the tables': what may be called is bounded by the callers'
        roles.
        """
        group = aws.ec2.SecurityGroup(
            f"{self._name}-endpoints",
            description="Interface endpoints of AWS services",
            vpc_id=self.vpc_id,
            tags={"Name": f"{self._name}-endpoints"},
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-endpoints",
            security_group_id=group.id,
            description="HTTPS from the VPC",
            cidr_ipv4=self.cidr,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            opts=self.child(),
        )
        for service in INTERFACE_SERVICES:
            self._interface_endpoint(f"{self._name}-{service}", service, group, private_dns_enabled=True)
        # The gateway endpoint keeps DynamoDB's public addresses, so that a pod with tables would need a
        # network policy that lets it out to every address there is. This one has addresses of the VPC, for
        # the price of one more endpoint. No private DNS, which it did not offer when this was written ("AWS
        # PrivateLink for DynamoDB", DynamoDB Developer Guide): who wants it names its URL.
        tables = self._interface_endpoint(
            f"{self._name}-dynamodb-interface",
            "dynamodb",
            group,
            private_dns_enabled=False,
            policy=policy_document(self._ours()),
        )
        self.dynamodb_endpoint = tables.dns_entries.apply(lambda entries: f"https://{entries[0].dns_name}")

    def _interface_endpoint(
        self,
        name: str,
        service: str,
        group: aws.ec2.SecurityGroup,
        *,
        private_dns_enabled: bool,
        policy: pulumi.Input[str] | None = None,
    ) -> aws.ec2.VpcEndpoint:
        zones = len(self.private_subnet_ids) if self._args.nat_gateways == "perZone" else 1
        return aws.ec2.VpcEndpoint(
            name,
            vpc_id=self.vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Interface",
            subnet_ids=self.private_subnet_ids[:zones],
            security_group_ids=[group.id],
            private_dns_enabled=private_dns_enabled,
            policy=policy,
            tags={"Name": name},
            opts=self.child(),
        )

    def _api_endpoint(self, subnet_ids: list[pulumi.Output[str]], blocks: list[str]) -> None:
        """The way to the private API, at addresses that the load balancer's targets can name in a preview."""
        name = f"{self._name}-api-endpoint"
        self.api_endpoint_addresses = [str(ipaddress.IPv4Network(block)[8]) for block in blocks]
        group = aws.ec2.SecurityGroup(
            name,
            description="Endpoint of the private API",
            vpc_id=self.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        endpoint = aws.ec2.VpcEndpoint(
            name,
            vpc_id=self.vpc_id,
            service_name=self._service("execute-api"),
            vpc_endpoint_type="Interface",
            subnet_ids=subnet_ids,
            subnet_configurations=[
                {"subnet_id": subnet_id, "ipv4": address}
                for subnet_id, address in zip(subnet_ids, self.api_endpoint_addresses, strict=True)
            ],
            security_group_ids=[group.id],
            private_dns_enabled=False,
            # By resource, not by principal: requests from the load balancer carry no AWS identity.
            policy=policy_document(
                {
                    "Effect": "Allow",
                    "Principal": "*",
                    "Action": "execute-api:Invoke",
                    "Resource": pulumi.Output.format(
                        "arn:aws:execute-api:{0}:{1}:*", self._args.context.region, self.account_id
                    ),
                }
            ),
            tags={"Name": name},
            opts=self.child(),
        )
        self.api_endpoint_id = endpoint.id
        self.api_endpoint_security_group_id = group.id
        self.report(
            Signal(
                name="api-endpoint-packets-dropped",
                title="The VPC endpoint of the private API drops packets",
                namespace="AWS/PrivateLinkEndpoints",
                metric="PacketsDropped",
                dimensions={
                    "Endpoint Type": "Interface",
                    "Service Name": self._service("execute-api"),
                    "VPC Endpoint Id": endpoint.id,
                    "VPC Id": self.vpc_id,
                },
                statistic="Sum",
                threshold=10,
                reason="The threshold is in packets per minute. A healthy endpoint drops almost none, and "
                "all API requests pass through this one.",
                severity="critical",
            )
        )
