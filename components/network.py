"""The network of one region: VPC, subnets in all Availability Zones, NAT, flow logs and endpoints."""

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
from settings import INTERFACE_SERVICES, ExistingVpc, SubnetPlan
from settings.aws_limits import ECR_LAYERS_BUCKET, SERVICE_NAME


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Settings of a region's network."""

    context: RegionContext
    cidr: str
    availability_zones: Sequence[str]
    plan: SubnetPlan
    nat_gateways: Literal["perZone", "one"]
    """Also determines the zones with interface endpoints: all of them, or only the first."""
    existing: ExistingVpc | None
    """An existing VPC with subnets, to which only endpoints are added. Its primary CIDR block must be
    `cidr`."""


class Network(Component):
    """A VPC with public, private, isolated and endpoint subnets in every zone.

    Public subnets contain the load balancer and NAT gateways. Private subnets contain the pods, the function
    and the internal load balancer. Isolated subnets, which have no route to the internet, contain the data
    stores. The small endpoint subnets contain the pinned addresses of the API's endpoint.

    A subnet's id is known only once its routes exist, so resources in it have outbound connectivity from
    their creation until their deletion.
    """

    vpc_id: pulumi.Output[str]
    cidr: str
    public_subnet_ids: list[pulumi.Output[str]]
    private_subnet_ids: list[pulumi.Output[str]]
    isolated_subnet_ids: list[pulumi.Output[str]]
    api_endpoint_id: pulumi.Output[str]
    """The `execute-api` interface endpoint. Private DNS is disabled, because the API has its own names."""
    api_endpoint_addresses: list[str]
    """The endpoint's pinned IPv4 addresses, one per zone, which are known before the deployment: the ninth
    address of each endpoint subnet (AWS reserves the first four and the last)."""
    api_endpoint_security_group_id: pulumi.Output[str]
    """Security group without rules. A component that connects adds its own rule."""
    dynamodb_prefix_list_id: pulumi.Output[str]
    dynamodb_endpoint: pulumi.Output[str]
    """URL of DynamoDB's interface endpoint in this VPC."""

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
        # AWS provides this prefix list in every region, whether or not this VPC has the endpoint.
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
        return SERVICE_NAME.format(region=self._args.context.region, service=service)

    def _use(self, existing: ExistingVpc) -> tuple[list[pulumi.Output[str]], list[pulumi.Input[str]]]:
        """Uses an existing VPC. A wrong id or CIDR block fails the lookup before anything is created."""
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
        """Creates the VPC, subnets and routes. Returns the endpoint subnets and the private route tables."""
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
        # Without rules: a resource without an explicit security group gets this one, which allows no traffic.
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
        # With inline routes, the table and the resources in its subnets depend on the gateway.
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
            # Load balancers and NAT gateways have their own public addresses. Nothing else gets one.
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
        # "Monitor NAT gateways with Amazon CloudWatch", VPC User Guide.
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
                # The action lists all log groups, so it can't be limited to a resource.
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
            # The role must have its permissions first, which its ARN doesn't express.
            opts=self.child(depends_on=[policy]),
        )

    def _gateway_endpoints(self, route_table_ids: list[pulumi.Input[str]]) -> None:
        """Endpoints for S3 and DynamoDB without NAT. They only allow resources of this account, so that data
        can't be copied to other accounts."""
        ours = self._ours()
        image_layers = {
            # `settings/images.py` refuses registries whose layers are in other buckets.
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{ECR_LAYERS_BUCKET.format(region=self._args.context.region)}/*",
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
        """A statement of an endpoint policy that allows access to this account's resources."""
        return {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "*",
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceAccount": self.account_id}},
        }

    def _interface_endpoints(self) -> None:
        """Interface endpoints in the private subnets. In an endpoint subnet, they could take a pinned
        address.

        They keep AWS's default policy, except for DynamoDB's endpoint, because the callers' roles limit
        access.
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
        present = self._args.existing.interface_endpoints if self._args.existing else []
        for service in INTERFACE_SERVICES:
            if service in present:
                self._look_up_endpoint(service)
            else:
                self._interface_endpoint(f"{self._name}-{service}", service, group, private_dns_enabled=True)
        # The gateway endpoint uses DynamoDB's public addresses, so a pod that uses tables would need a
        # network policy that allows all addresses. This endpoint has addresses in the VPC, for the price of
        # one more endpoint. It had no private DNS when this was written ("AWS PrivateLink for DynamoDB",
        # DynamoDB Developer Guide), so clients use its URL.
        tables = self._interface_endpoint(
            f"{self._name}-dynamodb-interface",
            "dynamodb",
            group,
            private_dns_enabled=False,
            policy=policy_document(self._ours()),
        )
        self.dynamodb_endpoint = tables.dns_entries.apply(lambda entries: f"https://{entries[0].dns_name}")

    def _look_up_endpoint(self, service: str) -> None:
        """Fails before anything is created if the VPC doesn't have the endpoint that the settings name, or if
        clients would not find it."""
        name = self._service(service)

        def has_private_dns(found: aws.ec2.GetVpcEndpointResult) -> None:
            if not found.private_dns_enabled:
                raise pulumi.RunError(
                    f"existingVpc.interfaceEndpoints: {service}: private DNS is disabled for {found.id}: "
                    "enable it, or remove the service from the list, so that an endpoint is created"
                )

        aws.ec2.get_vpc_endpoint_output(
            vpc_id=self.vpc_id, service_name=name, vpc_endpoint_type="Interface", opts=self._invoke
        ).apply(has_private_dns)

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
        """The endpoint of the private API. Its addresses are known in a preview, for the load balancer's
        targets."""
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
            # Limited by resource, not by principal: requests from the load balancer have no AWS identity.
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
