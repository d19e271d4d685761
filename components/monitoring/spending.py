"""Tier 9, the platform's costs: a monthly budget and the detection of unusual spending."""

from __future__ import annotations

import json
from dataclasses import dataclass

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
            monitor_specification=json.dumps(
                {"Tags": {"Key": COST_TAG, "Values": [args.context.platform], "MatchOptions": ["EQUALS"]}}
            ),
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
