"""Whether messages arrive: in the alarm topics, from each of their publishers, and nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from account.question import Answer, Client, judged, pages, passed

DAYS = 14
"""How far back messages are evidence."""
FAILED = "Failed"
"""Beginning of the summary of an action that failed. Others begin with `Successfully executed action`
(outputs of `describe-alarm-history` in public repositories, read 2026-11-27)."""
ATTEMPTS = 6
PAUSE_SECONDS = 5


def subscriptions(sns: Client, topic: str) -> Answer:
    """The topic has subscribers, and all have confirmed."""
    found = list(pages(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic))
    name = topic.rpartition(":")[2]
    waiting = [item["Endpoint"] for item in found if item["SubscriptionArn"] == "PendingConfirmation"]
    if not found:
        return Answer("fail", f"{name} has no subscriber", "name addresses in `monitoring.alarmEmails`")
    return judged(
        [f"subscribers of {name} that haven't confirmed: {', '.join(waiting)}"] if waiting else [],
        f"{len(found)} subscribers of {name} have confirmed",
        "open the link in the e-mail of each address",
    )


def from_alarms(cloudwatch: Client, topic: str, alarm: str) -> Answer:
    """CloudWatch has published to the topic lately, and never failed to.

    Args:
        cloudwatch: the client.
        topic: ARN of the topic.
        alarm: an alarm that publishes to it and that is part of no other.
    """
    name = topic.rpartition(":")[2]
    actions = [
        item["HistorySummary"]
        for item in pages(
            cloudwatch,
            "describe_alarm_history",
            "AlarmHistoryItems",
            HistoryItemType="Action",
            StartDate=datetime.now(UTC) - timedelta(days=DAYS),
            PaginationConfig={"MaxItems": 1000},
        )
        if topic in item["HistorySummary"] + item.get("HistoryData", "")
    ]
    failed = [text for text in actions if text.startswith(FAILED)]
    if failed:
        return Answer(
            "fail",
            f"{failed[0]} ({len(failed)} of {len(actions)})",
            "see that the policies of the topic and of its key let cloudwatch.amazonaws.com publish",
        )
    if actions:
        return passed(f"CloudWatch has published {len(actions)} messages to {name} within {DAYS} days")
    return Answer(
        "unknown",
        f"CloudWatch has published nothing to {name} within {DAYS} days",
        "run `make verify STACK=NAME MESSAGES=1`, which makes an alarm ring, or `aws cloudwatch "
        f"set-alarm-state --alarm-name {alarm} --state-value ALARM --state-reason test`",
    )


def sent_by_alarm(
    cloudwatch: Client, topic: str, alarm: str, wait: Callable[[float], None] = time.sleep
) -> Answer:
    """Makes an alarm ring, sees that CloudWatch publishes it, and ends it. Its subscribers get a message."""
    reason = "python -m account verify --messages tests the alarm topics; nothing is wrong"
    begin = datetime.now(UTC)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason=reason)
    try:
        for _ in range(ATTEMPTS):
            for item in pages(
                cloudwatch,
                "describe_alarm_history",
                "AlarmHistoryItems",
                AlarmName=alarm,
                HistoryItemType="Action",
                StartDate=begin - timedelta(seconds=1),
            ):
                text = item["HistorySummary"]
                if topic in text + item.get("HistoryData", ""):
                    return judged(
                        [text] if text.startswith(FAILED) else [],
                        text,
                        "see that the policies of the topic and of its key let cloudwatch.amazonaws.com "
                        "publish",
                    )
            wait(PAUSE_SECONDS)
    finally:
        cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason=reason)
    return Answer(
        "fail",
        f"{alarm} rang, and published nothing to {topic.rpartition(':')[2]}",
        f"see that the topic is an action of {alarm}, and that its actions are enabled",
    )


def from_database(rds: Client, names: Sequence[str]) -> Answer:
    """RDS may publish its events to the topic: otherwise, the subscription's status says so. This doesn't
    show that an event has arrived. The categories of the subscriptions begin with something that harms:
    failures, failovers, restarts, maintenance and deletions."""
    problems: list[str] = []
    for name in names:
        (found,) = rds.describe_event_subscriptions(SubscriptionName=name)["EventSubscriptionsList"]
        if found["Status"] != "active":
            problems.append(f"{name} is {found['Status']}")
    return judged(
        problems,
        f"{len(names)} event subscriptions are active; a failover shows that events arrive",
        "see that the policies of the topic and of its key let events.rds.amazonaws.com publish",
    )


def anomalies(ce: Client, monitors: Sequence[str]) -> Answer:
    """The bill's anomaly monitors see costs, which takes a day or two."""
    found = ce.get_anomaly_monitors(MonitorArnList=list(monitors))["AnomalyMonitors"]
    idle = [item["MonitorName"] for item in found if not item.get("LastEvaluatedDate")]
    return judged(
        [f"{name} has evaluated nothing yet" for name in idle],
        f"{len(found)} monitors have evaluated costs",
        "activate the cost allocation tag platform in the account that pays, and ask again after two days",
    )


def dead_letters(sqs: Client, queues: Sequence[str]) -> Answer:
    """No event has failed for good."""
    problems: list[str] = []
    for url in queues:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        count = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
        if count:
            problems.append(f"{url.rpartition('/')[2]} has {count} messages")
    return judged(
        problems, f"{len(queues)} queues are empty", "see `order-intake-dead-letters` in docs/operations.md"
    )
