"""Rules about operations: tags, regions, logs and alarms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from policy.rule import Resource, Stack, default_tags, must_be, must_be_set, rule, stack_rule
from policy.rules.access import must_be_our_key
from settings import REQUIRED_TAGS, Region, missing_tags
from settings.aws_limits import RetentionDays

PROVIDER = "pulumi:providers:aws"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
METRIC_ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
COMPOSITE_ALARM = "aws:cloudwatch/compositeAlarm:CompositeAlarm"
HEALTH_CHECK = "aws:route53/healthCheck:HealthCheck"


@rule(f"Every AWS resource carries the tags {', '.join(REQUIRED_TAGS)} and environment")
def resource_is_tagged(resource: Resource) -> Iterator[str]:
    if resource.type == PROVIDER:
        tags = default_tags(resource.properties)
    elif resource.type.startswith("aws:"):
        tags = resource.default_tags
    else:
        return
    missing = missing_tags(tags, (*REQUIRED_TAGS, "environment"))
    if missing:
        yield f"its provider's defaultTags do not contain {', '.join(missing)}: use the region's provider"


@rule("Every AWS provider tags its resources with the environment of the stack's settings", PROVIDER)
def provider_names_the_environment(provider: Resource) -> Iterator[str]:
    tag = default_tags(provider.properties).get("environment")
    if provider.environment and tag != provider.environment:
        yield (
            f"the tag environment in defaultTags is {tag or 'not set'}, but the stack's settings say "
            f"{provider.environment}: use the region's provider"
        )


@rule("Resources are only in approved regions")
def region_is_allowed(resource: Resource) -> Iterator[str]:
    if resource.type == PROVIDER or resource.type.startswith("aws:"):
        yield from must_be(resource, "region", *get_args(Region), unset=resource.type != PROVIDER)


@rule("Logs expire", LOG_GROUP)
def log_group_forgets(group: Resource) -> Iterator[str]:
    yield from must_be(group, "retentionInDays", *get_args(RetentionDays))


@rule("Logs are encrypted with the platform's key", LOG_GROUP)
def log_group_is_encrypted(group: Resource) -> Iterator[str]:
    yield from must_be_our_key(group, "kmsKeyId")


@stack_rule("An alarm notifies a topic, another alarm or a health check", METRIC_ALARM)
def alarm_tells_somebody(alarm: Resource, stack: Stack) -> Iterator[str]:
    if not any(stack.companions(alarm, COMPOSITE_ALARM, HEALTH_CHECK)):
        yield from must_be_set(alarm, "alarmActions", "name a topic")


@rule("A composite alarm notifies a topic", COMPOSITE_ALARM)
def composite_alarm_tells_somebody(alarm: Resource) -> Iterator[str]:
    yield from must_be_set(alarm, "alarmActions", "name a topic")
