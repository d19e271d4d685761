"""Tier 9, the scrapers: collect the metrics of pods and brokers in Prometheus workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.access import Endpoint
from components.common.arns import resource_name
from components.common.component import Component
from components.common.context import RegionContext
from components.common.logs import all_streams, log_group
from components.common.signals import Severity, Signal
from settings import WORKLOAD_NAMESPACE
from settings.aws_limits import VENDED_LOGS_PREFIX

API_SERVER_PORT = 443

SCRAPE_CONFIGURATION = """\
# The pods of our services that ask to be scraped, by the annotations that their chart puts on them.
global:
  scrape_interval: 30s # four samples in the two minutes that the scaling queries look back on
scrape_configs:
  - job_name: services
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [NAMESPACE]
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: "true"
      - source_labels: [__meta_kubernetes_pod_phase]
        action: keep
        regex: Running
      # A pod is listed once per container port: all become the metrics port, and copies fall away.
      - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
        target_label: __address__
        regex: ([^:]+)(?::\\d+)?;(\\d+)
        replacement: $1:$2
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_path]
        target_label: __metrics_path__
        regex: (.+)
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
        target_label: service
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
""".replace("NAMESPACE", WORKLOAD_NAMESPACE)


@dataclass(frozen=True, kw_only=True)
class MetricsScraperArgs:
    """Settings of a region's scraper."""

    context: RegionContext
    cluster_name: str
    cluster_arn: pulumi.Input[str]
    workspace_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets in at least two Availability Zones."""
    cluster_security_group_id: pulumi.Input[str]
    metrics_ports: Sequence[int]
    """Ports of the pods that serve metrics."""
    vpc_id: pulumi.Input[str]


class MetricsScraper(Component):
    """A scraper of Amazon Managed Service for Prometheus that reads the pods' metrics into the workspace.

    The cluster's authentication mode is `API`, so the scraper creates its own access entry. An entry that we
    create would be rejected ("Set up managed collectors for Amazon EKS").
    """

    def __init__(
        self, name: str, args: MetricsScraperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:MetricsScraper", name, opts)
        group = aws.ec2.SecurityGroup(
            name,
            description="Scraper of pod metrics",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        # To the API server, to discover the pods, and to the pods.
        for port in [API_SERVER_PORT, *args.metrics_ports]:
            self.allow_connection(
                f"{name}-{port}",
                f"{name}-{port}",
                port=port,
                client=group.id,
                client_is="Scraper of pod metrics",
                server=args.cluster_security_group_id,
                server_is="Pods that are scraped",
            )
        scraper = aws.amp.Scraper(
            name,
            alias=args.cluster_name,
            source={
                "eks": {
                    "cluster_arn": args.cluster_arn,
                    "subnet_ids": args.subnet_ids,
                    "security_group_ids": [group.id],
                }
            },
            destination={"amp": {"workspace_arn": args.workspace_arn}},
            scrape_configuration=SCRAPE_CONFIGURATION,
            opts=self.child(),
        )
        _log_scraper(self, name, args.context, scraper, args.cluster_name)
        self.report(
            _ingestion(
                resource_name(args.workspace_arn),
                name="metrics-ingestion",
                title="No pod metrics arrive in the Prometheus workspace",
                periods=5,
                reason="The threshold is in samples per second. Without pod metrics, services run at their "
                "fallback number of pods.",
                severity="critical",
            )
        )
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class BrokerMetricsArgs:
    """Settings of a region's Kafka metrics."""

    context: RegionContext
    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """The brokers' subnets, in at least two Availability Zones."""
    dns_name: pulumi.Input[str]
    """DNS name that resolves to the addresses of all brokers."""
    exporters: Endpoint
    """Ports of the brokers' exporters: first for Kafka's metrics, then for the machines' metrics."""


class BrokerMetrics(Component):
    """The metrics of the brokers' exporters, in a separate Prometheus workspace.

    These metrics are for people and their graphs; alarms use CloudWatch's metrics of Kafka. A workspace
    itself costs nothing, only its samples do. In the pods' workspace, which services scale on, the brokers'
    samples would hide that the pods' samples are missing.
    """

    def __init__(
        self, name: str, args: BrokerMetricsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("trading:tier:BrokerMetrics", name, opts)
        # The alias doesn't start with the platform's name, because AWS finds workspaces by the prefix of
        # their alias.
        alias = f"brokers-{args.context.platform}-{args.context.region}"
        group = aws.ec2.SecurityGroup(
            name,
            description="Scraper of broker metrics",
            vpc_id=args.vpc_id,
            tags={"Name": name},
            opts=self.child(),
        )
        for port in args.exporters.ports:
            self.allow_connection(
                f"{name}-{port}",
                f"{name}-{port}",
                port=port,
                client=group.id,
                client_is="Scraper of broker metrics",
                server=args.exporters.security_group_id,
                server_is="MSK brokers that are scraped",
            )
        # An AWS owned key: a workspace with a customer managed key can never use a managed collector (AMP
        # User Guide, "Encryption at rest").
        workspace = aws.amp.Workspace(name, alias=alias, opts=self.child(protect=args.context.protect))
        scraper = aws.amp.Scraper(
            name,
            alias=alias,
            source={"vpc": {"subnet_ids": args.subnet_ids, "security_group_ids": [group.id]}},
            destination={"amp": {"workspace_arn": workspace.arn}},
            scrape_configuration=pulumi.Output.from_input(args.dns_name).apply(
                lambda dns_name: _broker_scrape_configuration(dns_name, args.exporters.ports)
            ),
            opts=self.child(),
        )
        _log_scraper(self, name, args.context, scraper, alias)
        self.report(
            _ingestion(
                workspace.id,
                name="broker-metrics-ingestion",
                title="No metrics of the Kafka brokers' exporters arrive in the Prometheus workspace",
                periods=15,
                reason="The threshold is in samples per second. Kafka's alarms don't need these metrics, "
                "but troubleshooting does.",
                severity="warning",
            )
        )
        self.register_outputs({})


def _broker_scrape_configuration(dns_name: str, ports: Sequence[int]) -> str:
    """The configuration from "Set up managed Prometheus collectors for Amazon MSK", with a job per
    exporter."""
    jobs = "".join(
        f"""\
  - job_name: brokers-{exporter}
    dns_sd_configs:
      - names: [{dns_name}]
        type: A
        port: {port}
"""
        for exporter, port in zip(("jmx", "node"), ports, strict=True)
    )
    return f"""\
global:
  scrape_interval: 60s # as often as CloudWatch has MSK's metrics; samples are what costs
scrape_configs:
{jobs}"""


def _ingestion(
    workspace_id: pulumi.Output[str], *, name: str, title: str, periods: int, reason: str, severity: Severity
) -> Signal:
    """A signal that a workspace ingests no samples."""
    return Signal(
        name=name,
        title=title,
        namespace="AWS/Usage",
        metric="ResourceCount",
        dimensions={
            "Service": "Prometheus",
            "Type": "Resource",
            "Class": "None",
            "Resource": "IngestionRate",
            "ResourceId": workspace_id,
        },
        statistic="Maximum",
        comparison="below",
        threshold=1,
        periods=periods,
        reason=reason,
        severity=severity,
        missing_data="breaching",
    )


def _log_scraper(
    component: Component, name: str, context: RegionContext, scraper: aws.amp.Scraper, alias: str
) -> None:
    logs = log_group(component, name, context, name=f"{VENDED_LOGS_PREFIX}prometheus/scraper/{alias}")
    aws.amp.ScraperLoggingConfiguration(
        name,
        scraper_id=scraper.id,
        logging_destination={"cloudwatch_logs": {"log_group_arn": all_streams(logs.arn)}},
        opts=component.child(),
    )
