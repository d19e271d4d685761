"""Kafka under the real engine: what grows in place, and what is refused.

The program creates only this tier. The tests run in this order in one sandbox; each begins with the state
that the previous one left.
"""

from __future__ import annotations

import re
import sqlite3

import pytest

from tests.engine.project import Project, Values

PROGRAM = """
import pulumi, pulumi_aws as aws
from components.common.context import RegionContext
from components.event_streaming import EventStreaming, EventStreamingArgs
from settings import ServiceSettings, StreamingSettings

config = pulumi.Config()
provider = aws.Provider("aws", region="us-east-1")
opts = pulumi.ResourceOptions(provider=provider)
vpc = aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=opts)
subnets = [
    aws.ec2.Subnet(f"subnet-{zone}", vpc_id=vpc.id, availability_zone=f"us-east-1{zone}",
        cidr_block=f"10.0.{number}.0/24", opts=opts)
    for number, zone in enumerate("abc")
]
keys = [aws.kms.Key(name, opts=opts) for name in ("key", "another-key")]
context = RegionContext(
    platform="test", region="us-east-1", log_retention_days=30, protect=True, provider=provider,
    key_arn=keys[int(config.get("key") or 0)].arn,
)
tier = EventStreaming(
    "streaming",
    EventStreamingArgs(
        context=context,
        vpc_id=vpc.id,
        subnet_ids=[subnet.id for subnet in subnets],
        settings=StreamingSettings.model_validate(config.require_object("settings")),
        services=[ServiceSettings(name="accounts", listener_port=8082, consumes=["orders"])],
    ),
    context.options,
)
pulumi.export("dnsName", tier.dns_name)
"""
CLUSTER, TOPIC, STORAGE = "streaming-brokers", "streaming-topic-orders", "streaming-storage"


START: Values = {
    "volumeGib": {"min": 100, "max": 400},
    "topics": {"orders": {"partitions": 3}},
}
GROWN: Values = {
    "volumeGib": {"min": 100, "max": 900},
    "topics": {"orders": {"partitions": 6}},
    "brokersPerZone": 2,
}


class Stack(Project):
    """The program above with the test's own settings."""

    def configure(self, settings: Values, key: int = 0) -> None:
        self.change(
            "local", lambda values: values.update({"small:settings": settings, "small:key": str(key)})
        )

    def up(self) -> None:
        self.pulumi("up", "--stack", "local", "--yes", "--skip-preview")

    def refused(self) -> str:
        """The output of a preview that must fail."""
        output = self.pulumi("preview", "--stack", "local", expect=None)
        assert "error: " in output
        return output

    def ids(self) -> dict[str, str]:
        return {resource["urn"]: resource.get("id", "") for resource in self.resources("local")}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    made = Stack.of_program(tmp_path_factory.mktemp("streaming"), PROGRAM, "components", "settings")
    made.configure(START)
    made.up()
    return made


def test_volume_partitions_and_brokers_grow_in_place(stack: Stack) -> None:
    before = stack.ids()
    stack.configure(GROWN)
    assert stack.preview("local") == {CLUSTER: "update", TOPIC: "update", STORAGE: "update"}
    stack.up()
    assert stack.ids() == before


def test_broker_type_changes_in_place(stack: Stack) -> None:
    stack.configure({**GROWN, "instanceType": "kafka.m7g.xlarge"})
    assert stack.preview("local") == {CLUSTER: "update"}


def test_fewer_partitions_are_refused_before_anything_changes(stack: Stack) -> None:
    stack.configure({**GROWN, "topics": START["topics"]})
    output = stack.refused()
    assert "partitionCount: InvalidPartitions: orders has 6 partitions" in output
    assert "write to a new topic with 3" in output


def test_replacement_of_the_brokers_is_refused(stack: Stack) -> None:
    stack.configure(GROWN, key=1)
    protected = rf'unable to replace resource "\S+::{CLUSTER}"\s+as it is currently marked for protection'
    assert re.search(protected, stack.refused())


def test_volume_that_the_scaling_has_grown_stays_as_it_is(stack: Stack) -> None:
    stack.configure(GROWN)
    size = "$.brokerNodeGroupInfo.storageInfo.ebsStorageInfo.volumeSize"
    with sqlite3.connect(stack.sandbox / "aws.sqlite") as account:
        changed = account.execute(
            "UPDATE resource SET inputs = json_set(inputs, ?, 640), outputs = json_set(outputs, ?, 640) "
            "WHERE type = 'aws:msk/cluster:Cluster'",
            (size, size),
        )
        assert changed.rowcount == 1
    account.close()
    assert "~ 1 updated" in stack.pulumi("refresh", "--stack", "local", "--yes")
    assert stack.preview("local") == {}
