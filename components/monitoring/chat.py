"""Tier 9, alarms in a chat: shows the topics' messages in a Slack channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components.common.component import Component
from components.common.context import DeploymentContext
from components.common.service_role import service_role
from settings import SlackSettings

REGION = "us-west-2"
"""One of the few regions in which the service has an endpoint. It can subscribe to topics in every region."""
READ_METRICS = "arn:aws:iam::aws:policy/CloudWatchReadOnlyAccess"


@dataclass(frozen=True, kw_only=True)
class SlackChannelArgs:
    """Settings of the channel."""

    context: DeploymentContext
    settings: SlackSettings
    topic_arns: Sequence[pulumi.Input[str]]
    """Topics whose messages the channel shows."""


class SlackChannel(Component):
    """Amazon Q Developer in chat applications (AWS Chatbot) posts alarms, with their graphs, to a channel.

    Members of the channel may only read metrics, whatever command a message contains.
    """

    def __init__(self, name: str, args: SlackChannelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("trading:tier:SlackChannel", name, opts)
        role, permission = service_role(self, name, "chatbot.amazonaws.com", READ_METRICS)
        aws.chatbot.SlackChannelConfiguration(
            name,
            region=REGION,
            configuration_name=args.context.platform,
            slack_team_id=args.settings.workspace_id,
            slack_channel_id=args.settings.channel_id,
            iam_role_arn=role.arn,
            guardrail_policy_arns=[READ_METRICS],
            sns_topic_arns=args.topic_arns,
            logging_level="ERROR",
            user_authorization_required=True,
            opts=self.child(depends_on=[permission]),  # the first message's graphs require the permission
        )
        self.register_outputs({})
