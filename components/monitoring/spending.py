"""Tier 9, the platform's costs: a monthly budget and the detection of unusual spending."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from settings import SpendingSettings

COST_TAG = "platform"
"""The tag that identifies the platform's costs. The payer account must have activated it as a cost
allocation tag (README, "What a real account needs first")."""


@dataclass(frozen=True, kw_only=True)
class SpendingArgs:
    """Settings of the budget and the anomaly detection."""

    context: DeploymentContext
    settings: SpendingSettings
    warning_topic_arn: pulumi.Input[str]
    """A topic that AWS Budgets and Cost Explorer may publish to."""


class Spending(Component):
    """A budget per calendar month, and notifications of anomalies in the costs of this platform's
    resources."""

    def __init__(self, name: str, args: SpendingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:Spending", name, opts)
        aws.budgets.Budget(
            name,
            name=args.context.platform,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(args.settings.monthly_usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{COST_TAG}${args.context.platform}"]}],
            notifications=[
                {
                    "notification_type": kind,
                    "comparison_operator": "GREATER_THAN",
                    "threshold": per_cent,
                    "threshold_type": "PERCENTAGE",
                    "subscriber_sns_topic_arns": [args.warning_topic_arn],
                }
                # The actual costs, and AWS's forecast for the end of the month.
                for kind, per_cent in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
            opts=self.child(),
        )
        # The monitor selects costs by the tag. An account can have only one monitor for all of its services,
        # and it doesn't belong to this platform.
        monitor = aws.costexplorer.AnomalyMonitor(
            name,
            name=args.context.platform,
            monitor_type="CUSTOM",
            monitor_specification=json.dumps(_costs_with_tag(COST_TAG, args.context.platform)),
            opts=self.child(),
        )
        aws.costexplorer.AnomalySubscription(
            name,
            name=args.context.platform,
            # The only frequency that is supported for SNS topics.
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor.arn],
            subscribers=[{"type": "SNS", "address": args.warning_topic_arn}],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [str(args.settings.anomaly_usd)],
                }
            },
            opts=self.child(),
        )
        self.register_outputs({})


def _costs_with_tag(key: str, value: str) -> dict[str, Any]:
    """The expression for costs with a tag, with all keys, as the provider reads it back.

    The provider compares the texts as JSON. A missing key would be a difference that replaces the monitor in
    every deployment (hashicorp/terraform-provider-aws, `internal/service/ce/anomaly_monitor.go` and its
    tests, 2026). Without match options, Cost Explorer matches the exact value ("TagValues", Cost Explorer API
    Reference).
    """
    return {
        "And": None,
        "CostCategories": None,
        "Dimensions": None,
        "Not": None,
        "Or": None,
        "Tags": {"Key": key, "MatchOptions": None, "Values": [value]},
    }
