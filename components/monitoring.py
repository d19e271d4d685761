"""Tier 9, monitoring: alarms and a dashboard from the tiers' signals, and the scraper of pod metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.tier import Severity, Signal, Tier


@dataclass(frozen=True, kw_only=True)
class MetricsScraperArgs:
    """Settings of a region's scraper."""

    cluster_arn: pulumi.Input[str]
    workspace_arn: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    """Private subnets, in at least two zones."""
    cluster_security_group_id: pulumi.Input[str]
    vpc_id: pulumi.Input[str]


class MetricsScraper(Tier):
    """Amazon Managed Service for Prometheus's scraper: reads the pods' metrics into the workspace."""

    def __init__(
        self, name: str, args: MetricsScraperArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, opts)
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class MonitoredRegion:
    """The signals of one region and where its alarms are sent."""

    region: str
    signals: Sequence[Signal]
    critical_topic_arn: pulumi.Input[str]
    warning_topic_arn: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Settings of alarms and dashboard."""

    platform: str
    regions: Sequence[MonitoredRegion]
    edge_signals: Sequence[Signal]
    """Signals of CloudFront, its web ACL and Route 53, whose metrics are in us-east-1."""
    alarm_emails: Sequence[str]


class Monitoring(Tier):
    """An alarm and a graph for every signal, in the signal's region."""

    dashboard_name: str

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        raise NotImplementedError
