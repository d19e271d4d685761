"""What follows from something else, and what is counted instead of listed."""

from __future__ import annotations

from collections import Counter

from report import causes
from report.causes import Explained, grouped
from report.preview import name_of
from sandbox import values
from tests.report.changes import read, step, urn
from tests.report.recordings import recorded

TOPIC = "aws:sns/topic:Topic"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
CLUSTER = "aws:msk/cluster:Cluster"
KEY = "aws:kms/key:Key"


def by_name(*steps: dict[str, object]) -> dict[str, Explained]:
    return {item.change.name: item for item in causes.explain(read(*steps).changes)}


def test_new_name_of_a_table_explains_the_alarm_on_it() -> None:
    found = {item.change.name: item for item in causes.explain(recorded("changes", policies=True).changes)}
    assert (found["errors"].kind, name_of(found["errors"].cause)) == ("follows", "table")
    assert {name: item.kind for name, item in found.items() if name != "errors"} == {
        name: "own" for name in found if name != "errors"
    }
    assert [item.path for item in found["table"].names] == ["name"]


def test_arn_that_changes_explains_forty_alarms() -> None:
    sources = {"alarmActions": [urn(TOPIC, "topic")]}
    topic = step(TOPIC, {"name": "old"}, {"name": "new"}, operation="replace", name="topic")
    alarms = [
        step(
            ALARM,
            {"alarmActions": ["arn:old"]},
            {"alarmActions": [values.UNKNOWN]},
            name=name,
            sources=sources,
        )
        for name in map(str, range(40))
    ]
    found = by_name(topic, *alarms)
    assert Counter(item.kind for item in found.values()) == {"own": 1, "follows": 40}
    assert {item.cause for item in found.values() if item.cause} == {urn(TOPIC, "topic")}


def test_value_that_is_known_follows_only_if_the_source_explains_all_of_it() -> None:
    sources = {"alarmActions": [urn(TOPIC, "topic")]}
    topic = step(TOPIC, {"name": "old"}, {"name": "new"}, operation="replace", name="topic")
    explained = step(ALARM, {"alarmActions": ["arn:old"]}, {"alarmActions": ["arn:new"]}, sources=sources)
    assert by_name(topic, explained)["it"].kind == "follows"
    more = step(ALARM, {"alarmActions": ["arn:old"]}, {"alarmActions": ["arn:new", "arn:2"]}, sources=sources)
    assert [item.path for item in by_name(topic, more)["it"].own] == ["alarmActions[1]"]
    unrelated = step(ALARM, {"alarmActions": ["arn:old"]}, {"alarmActions": ["arn:other"]}, sources=sources)
    assert by_name(topic, unrelated)["it"].kind == "own"
    assert by_name(topic, {**explained, "urn": urn(ALARM)})["it"].cause == urn(TOPIC, "topic")


def test_value_without_a_source_follows_from_nothing() -> None:
    topic = step(TOPIC, {"name": "old"}, {"name": "new"}, operation="replace", name="topic")
    assert by_name(topic, step(ALARM, {"a": "arn:old"}, {"a": "arn:new"}))["it"].kind == "own"
    assert by_name(topic, step(ALARM, {"a": "arn:old"}, {"a": values.UNKNOWN}))["it"].kind == "own"


def test_cause_is_the_first_of_its_chain() -> None:
    first = step(KEY, {"description": "a"}, {"description": "b"}, operation="replace", name="first")
    second = step(TOPIC, {"key": "k"}, {"key": values.UNKNOWN}, operation="replace", name="second",
                  sources={"key": [urn(KEY, "first")]}, replace_keys=["key"])  # fmt: skip
    third = step(ALARM, {"topic": "t"}, {"topic": values.UNKNOWN}, name="third",
                 sources={"topic": [urn(TOPIC, "second")]})  # fmt: skip
    assert by_name(first, second, third)["third"].cause == urn(KEY, "first")


def test_resources_that_use_each_other_end_in_no_loop() -> None:
    pair = [
        step(ALARM, {"rule": "r"}, {"rule": values.UNKNOWN}, name=name,
             sources={"rule": [urn(ALARM, other)]})
        for name, other in (("a", "b"), ("b", "a"))
    ]  # fmt: skip
    assert {item.kind for item in by_name(*pair).values()} == {"follows"}


def test_secret_that_changes_follows_from_nothing() -> None:
    sources = {"password": [urn(KEY, "key")]}
    key = step(KEY, {"description": "a"}, {"description": "b"}, operation="replace", name="key")
    secret = step(TOPIC, {"password": values.secret("a")}, {"password": values.UNKNOWN}, sources=sources)
    assert by_name(key, secret)["it"].kind == "own"


def test_change_of_all_tags_is_counted() -> None:
    kinds = Counter(item.kind for item in causes.explain(recorded("small-tags").changes))
    assert kinds["tags"] == 18
    listed = [item.change for item in causes.explain(recorded("small-tags").changes) if item.kind == "own"]
    assert {change.type for change in listed} == {"aws:cloudfront/function:Function"}


def test_digests_of_files_and_images_are_counted_and_versions_are_not() -> None:
    token, image = "aws:lambda/function:Function", "registry.example/a:{}@sha256:{}"

    def kind(old: str, new: str) -> str:
        return by_name(step(token, {"code": old}, {"code": new}))["it"].kind

    assert kind(f"sha256:{'a' * 64}", f"sha256:{'b' * 64}") == "digests"
    assert kind(image.format("1.0", "a" * 64), image.format("1.0", "b" * 64)) == "digests"
    assert kind(image.format("1.0", "a" * 64), image.format("1.1", "b" * 64)) == "own"
    assert kind(f"{'A' * 43}=", f"{'B' * 43}=") == "digests"
    assert kind("1.0", "1.1") == "own"


def test_equal_changes_of_one_type_are_one_group() -> None:
    found = list(grouped(causes.explain(recorded("small-values").changes)))
    sizes = {
        (item.change.type, len(item.members)) for item in found if item.change.type.endswith(":LogGroup")
    }
    assert sizes == {("aws:cloudwatch/logGroup:LogGroup", 21)}
    assert sum(len(group.members) for group in found) == len(recorded("small-values").changes)
