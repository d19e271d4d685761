"""What every procedure has in common: plan, preconditions, confirmation, continuation, record and errors."""

# pyright: reportUnknownMemberType=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from account.question import Answer
from operations import command
from operations.procedure import (
    STOPPED,
    WAITING,
    Account,
    Calls,
    Procedure,
    ProcedureError,
    Runner,
    Step,
    UndeclaredCallError,
)
from settings import Settings
from tests.operations.rehearsal import account, calls, client, continued_after_every_interruption, run
from tests.unit.harness import ROOT, stack_values

REGION = "eu-west-1"


def topics(reached: Account) -> list[str]:
    found = reached.client("sns", REGION).list_topics()["Topics"]
    return sorted(topic["TopicArn"].rpartition(":")[2] for topic in found)


def creation(name: str, **changed: Any) -> Step:
    def act(reached: Account) -> None:
        reached.client("sns", REGION).create_topic(Name=name)

    def done(reached: Account) -> bool:
        return name in topics(reached)

    values: dict[str, Any] = {
        "title": f"Create {name}",
        "changes": f"{name} exists",
        "calls": (Calls("sns", REGION, ("ListTopics", "CreateTopic")),),
        "done": done,
        "act": act,
    }
    return Step(**{**values, **changed})


def never(_: Account) -> bool:
    return False


def procedure(*steps: Step) -> Procedure:
    return Procedure("example", "prod", steps)


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch) -> Any:
    with account(monkeypatch):
        yield


def existing() -> list[str]:
    return topics(Account(client, (Calls("sns", REGION, ("ListTopics",)),), writes=False))


@pytest.mark.usefixtures("empty")
def test_open_steps_are_done_in_their_order_and_recorded(tmp_path: Path) -> None:
    client("sns", REGION).create_topic(Name="b")
    record = tmp_path / "record"
    assert run(procedure(creation("a"), creation("b"), creation("c")), record) == 0
    assert existing() == ["a", "b", "c"]
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["step"], line["event"]) for line in lines] == [
        ("Create a", "began"),
        ("Create a", "done"),
        ("Create b", "done already"),
        ("Create c", "began"),
        ("Create c", "done"),
    ]
    assert calls(record).count("sns:CreateTopic in eu-west-1") == 2


@pytest.mark.usefixtures("empty")
def test_procedure_continues_after_every_interruption(tmp_path: Path) -> None:
    def check() -> None:
        assert existing() == ["a", "b"]

    steps = procedure(creation("a"), creation("b"))
    assert continued_after_every_interruption(steps, check, tmp_path) == 2


@pytest.mark.usefixtures("empty")
def test_step_that_does_not_continue_is_found(tmp_path: Path) -> None:
    def twice(reached: Account) -> None:
        assert topics(reached) == []
        for name in "ab":
            reached.client("sns", REGION).create_topic(Name=name)

    step = creation("b", act=twice)
    with pytest.raises(AssertionError, match="see the standard error stream"):
        continued_after_every_interruption(procedure(step), lambda: None, tmp_path)


@pytest.mark.usefixtures("empty")
def test_plan_asks_and_changes_nothing(tmp_path: Path) -> None:
    client("sns", REGION).create_topic(Name="a")
    said: list[str] = []
    steps = creation("a"), creation("b", loses="what was there"), creation("c")
    record = tmp_path / "record"
    assert Runner(procedure(*steps), client, record, say=said.append).plan() == 0
    assert existing() == ["a"]
    assert not record.exists()
    text = "\n".join(said)
    assert "It needs AWS in: eu-west-1" in text
    assert "loses: what was there" in text
    assert "calls: sns in eu-west-1: ListTopics, CreateTopic" in text
    assert [line.split(";")[0].strip() for line in said if "state:" in line] == [
        "state: done",
        "state: next",
        "state: open",
    ]


@pytest.mark.usefixtures("empty")
def test_plan_lets_no_step_write(tmp_path: Path) -> None:
    def writing(reached: Account) -> bool:
        return bool(reached.client("sns", REGION).create_topic(Name="a"))

    with pytest.raises(UndeclaredCallError, match="sns:CreateTopic in eu-west-1"):
        Runner(procedure(creation("a", done=writing)), client, tmp_path / "r", say=lambda _: None).plan()


@pytest.mark.usefixtures("empty")
def test_call_that_a_step_does_not_declare_is_refused(tmp_path: Path) -> None:
    def act(reached: Account) -> None:
        reached.client("sns", "us-east-1").create_topic(Name="a")

    with pytest.raises(UndeclaredCallError, match="sns:CreateTopic in us-east-1"):
        run(procedure(creation("a", act=act)), tmp_path / "r")


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("yes", ["", "dev"])
def test_nothing_is_done_without_the_stacks_name(tmp_path: Path, yes: str) -> None:
    said: list[str] = []
    runner = Runner(
        procedure(creation("a", loses="every record of today")),
        client,
        tmp_path / "r",
        confirmed=yes,
        say=said.append,
        ask=lambda _: "yes",
    )
    with pytest.raises(ProcedureError, match=r"nothing was changed: .* but the stack is 'prod'"):
        runner.run()
    assert "  - every record of today" in said
    assert existing() == []


@pytest.mark.usefixtures("empty")
def test_precondition_that_does_not_hold_stops_the_procedure(tmp_path: Path) -> None:
    def stopped(_: Account) -> Answer:
        return Answer("fail", "the cluster is stopped", "start it")

    steps = creation("a"), creation("b", check=stopped)
    with pytest.raises(ProcedureError, match=r"step 2 \(Create b\) .* the cluster is stopped: start it"):
        run(procedure(*steps), tmp_path / "r")
    assert existing() == ["a"]


@pytest.mark.usefixtures("empty")
def test_procedure_waits_for_a_person_and_continues(tmp_path: Path) -> None:
    said: list[str] = []
    steps = creation("a", act=None, by_hand="pulumi up"), creation("b")
    assert run(procedure(*steps), tmp_path / "r", said=said) == WAITING
    assert "            pulumi up" in "\n".join(said)
    assert existing() == []
    client("sns", REGION).create_topic(Name="a")
    assert run(procedure(*steps), tmp_path / "r") == 0
    assert existing() == ["a", "b"]


@pytest.mark.usefixtures("empty")
def test_step_that_takes_too_long_says_how_to_continue(tmp_path: Path) -> None:
    slow = creation("a", done=never, minutes=2)
    with pytest.raises(ProcedureError, match=r"not complete after 2 minutes: .* run the same command again"):
        run(procedure(slow), tmp_path / "r")


@pytest.mark.usefixtures("empty")
def test_refusal_of_aws_is_one_line_with_the_step_and_the_operation(tmp_path: Path) -> None:
    def act(_: Account) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nallowed"}}, "CreateTopic")

    with pytest.raises(ProcedureError) as raised:
        run(procedure(creation("a", act=act)), tmp_path / "r")
    assert str(raised.value) == "step 1 (Create a): CreateTopic was refused with AccessDenied: not allowed"


@pytest.mark.parametrize(
    ("service", "region"), [("rds", "eu-west-1"), ("route53", "us-east-1"), ("iam", "us-east-1")]
)
def test_global_service_needs_the_region_of_its_control_plane(service: str, region: str) -> None:
    assert Calls(service, "eu-west-1", ()).depends_on == region


def test_step_acts_or_is_done_by_hand() -> None:
    with pytest.raises(ValueError, match="either act or by_hand"):
        creation("a", by_hand="pulumi up")


@pytest.mark.usefixtures("empty")
def test_command_reads_the_stack_file_and_prints_errors_as_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (tmp_path / "Pulumi.full.yaml").write_text((ROOT / "tests/stacks/full.yaml").read_text())
    monkeypatch.chdir(tmp_path)

    def chosen(settings: Settings, options: argparse.Namespace) -> Procedure:
        assert settings.environment == stack_values("full")["trading:environment"]
        return Procedure("example", options.stack, [creation("a")])

    def execute(*arguments: str) -> int:
        return command.execute(command.parser("example", "Example.").parse_args(arguments), chosen)

    assert execute("--stack", "full", "--dry-run") == 0
    assert existing() == []
    assert execute("--stack", "full", "--yes", "prod") == STOPPED
    assert capsys.readouterr().err == "error: nothing was changed: --yes is 'prod', but the stack is 'full'\n"
    assert execute("--stack", "full", "--yes", "full") == 0
    assert existing() == ["a"]
    assert (tmp_path / "operations-full.jsonl").read_text().count("\n") == 2
    assert execute("--stack", "none") == command.USAGE
    assert capsys.readouterr().err.count("\n") == 1
