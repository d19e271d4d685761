"""Procedures as lists of steps. A procedure asks the account which steps are done, so that it continues
after an interruption, and does the others in their order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from account.question import READS, Answer, Client

CONTROL_PLANES: Mapping[str, str] = {
    "cloudfront": "us-east-1",
    "globalaccelerator": "us-west-2",
    "iam": "us-east-1",
    "organizations": "us-east-1",
    "route53": "us-east-1",
    "route53-recovery-control-config": "us-west-2",
    "shield": "us-east-1",
}
"""Global services → the region of their control plane, which all operations of their API use. Source: AWS
whitepaper *AWS Fault Isolation Boundaries*, appendixes A and B, as of November 2022."""

POLL_SECONDS = 15
"""Interval between two questions to the account about a step that takes time."""

DONE, STOPPED, WAITING = 0, 1, 3
"""Exit statuses: everything is done; a step could not be done; a person must do the next step."""


class ProcedureError(Exception):
    """Raised if a procedure cannot continue. The text is one line, which names the step and the remedy."""


class UndeclaredCallError(Exception):
    """Raised if a step makes a call that it does not declare: an error in the procedure."""


@dataclass(frozen=True)
class Calls:
    """The operations that a step may call in one service and one region."""

    service: str
    """Name of the service in boto3."""
    region: str
    operations: tuple[str, ...]
    """Names of the operations in the service's API, such as `DescribeDBClusters`."""

    @property
    def depends_on(self) -> str:
        """The region that must work for these calls."""
        return CONTROL_PLANES.get(self.service, self.region)

    def __str__(self) -> str:
        place = self.region
        if self.service in CONTROL_PLANES:
            place = f"{self.depends_on} (the control plane of a global service)"
        return f"{self.service} in {place}: {', '.join(self.operations)}"


class Account:
    """The account as one step may use it: only with the calls that the step declares.

    Args:
        client: returns a client of a service in a region.
        calls: what the step declares.
        writes: whether the step may change something now.
    """

    def __init__(self, client: Callable[[str, str], Client], calls: Sequence[Calls], writes: bool) -> None:
        self._client = client
        self._calls = calls
        self._writes = writes
        self._clients: dict[tuple[str, str], Client] = {}
        self.made: list[str] = []
        """The calls that were made, as `rds:DescribeDBClusters in us-east-1`."""

    def client(self, service: str, region: str) -> Client:
        """A client of a service in a region. Later calls return the same one.

        Raises:
            UndeclaredCallError: when the client calls an operation that is not declared.
        """
        if (service, region) in self._clients:
            return self._clients[service, region]
        allowed = {
            operation
            for calls in self._calls
            if (calls.service, calls.region) == (service, region)
            for operation in calls.operations
            if self._writes or operation.startswith(READS)
        }

        def only_declared(model: Any, **_: object) -> None:
            call = f"{service}:{model.name} in {region}"
            if model.name not in allowed:
                raise UndeclaredCallError(f"{call} is not declared, or would change something now")
            self.made.append(call)

        client = self._client(service, region)
        client.meta.events.register("before-call", only_declared)
        self._clients[service, region] = client
        return client


def nothing_needed(_: Account) -> Answer:
    """The precondition of a step that needs only the steps before it."""
    return Answer("pass", "the steps before it are done")


@dataclass(frozen=True)
class Step:
    """One step. Either it acts itself, or it tells a person what to run."""

    title: str
    """What the step does, as an instruction: `Restore a copy of the cluster`."""
    changes: str
    """What is different afterwards."""
    calls: tuple[Calls, ...]
    """All calls that `done`, `check` and `act` make."""
    done: Callable[[Account], bool]
    """Asks the account whether the step is complete."""
    act: Callable[[Account], None] | None = None
    """Does the step, or continues it. It may be called again after an interruption at any point."""
    by_hand: str = ""
    """The commands for a person, if the step has no `act`."""
    check: Callable[[Account], Answer] = nothing_needed
    """The step's precondition. It is asked just before the step."""
    loses: str = ""
    """What cannot be recovered after the step; empty if nothing is lost."""
    minutes: int = 0
    """The longest time until `done`, after `act` has returned."""

    def __post_init__(self) -> None:
        if (self.act is None) == (not self.by_hand):
            raise ValueError(f"step {self.title!r} needs either act or by_hand")


@dataclass(frozen=True)
class Procedure:
    """A list of steps on one stack."""

    name: str
    """Name of its module in `operations/`."""
    stack: str
    """The Pulumi stack. A person types this name to confirm."""
    steps: Sequence[Step]

    @property
    def depends_on(self) -> frozenset[str]:
        """The regions that must work for the procedure."""
        return frozenset(calls.depends_on for step in self.steps for calls in step.calls)


@dataclass
class Runner:
    """Runs a procedure.

    Args:
        procedure: what to do.
        client: returns a new client of a service in a region.
        record: the file to which a line of JSON is appended for every step.
        confirmed: the name of the stack if it was given in advance (`--yes`).
        say: prints a line.
        ask: prints a question and returns the answer.
        sleep: waits for some seconds.
    """

    procedure: Procedure
    client: Callable[[str, str], Client]
    record: Path
    confirmed: str = ""
    say: Callable[[str], None] = print
    ask: Callable[[str], str] = input
    sleep: Callable[[float], None] = time.sleep
    _made: list[str] = field(default_factory=list[str], init=False)

    def plan(self) -> int:
        """Prints every step with its state, and changes nothing.

        Of the preconditions, only that of the first open step can be asked.
        """
        self._header()
        is_next = True
        for number, step in enumerate(self.procedure.steps, 1):
            for line in self._description(number, step):
                self.say(line)
            is_done = self._guarded(number, step, step.done, writes=False)
            if is_done:
                self.say("        state: done")
            elif is_next:
                answer = self._guarded(number, step, step.check, writes=False)
                self.say(f"        state: next; precondition: {_text(answer)}")
                is_next = False
            else:
                self.say("        state: open; its precondition is checked just before it")
        return DONE

    def run(self) -> int:
        """Does all open steps, after a confirmation. Returns `DONE` or `WAITING`.

        Raises:
            ProcedureError: a precondition does not hold, AWS refuses a call, a step takes too long, or the
                confirmation is wrong.
        """
        self._header()
        has_confirmed = False
        for number, step in enumerate(self.procedure.steps, 1):
            if self._guarded(number, step, step.done, writes=False):
                self.say(f"{self._label(number)}  {step.title}: done already")
                self._write(step, "done already")
                continue
            answer = self._guarded(number, step, step.check, writes=False)
            self.say(f"{self._label(number)}  {step.title}\n        precondition: {_text(answer)}")
            if answer.status != "pass":
                self._write(step, "refused")
                raise ProcedureError(
                    f"step {number} ({step.title}) cannot begin: {answer.found}: {answer.remedy}"
                )
            if step.act is None:
                self._write(step, "waits for a person")
                self.say(f"        do this, then run the same command again:\n{_indented(step.by_hand)}")
                return WAITING
            if not has_confirmed:
                self._confirm(self.procedure.steps[number - 1 :])
                has_confirmed = True
            self._write(step, "began")
            self._guarded(number, step, step.act, writes=True)
            self._wait(number, step)
            self._write(step, "done")
        self.say(f"{self.procedure.name} is complete. The record is in {self.record}")
        return DONE

    def _header(self) -> None:
        regions = ", ".join(sorted(self.procedure.depends_on))
        self.say(f"{self.procedure.name} of the stack {self.procedure.stack}. It needs AWS in: {regions}")

    def _label(self, number: int) -> str:
        return f"{number} of {len(self.procedure.steps)}"

    def _description(self, number: int, step: Step) -> Iterator[str]:
        yield f"{self._label(number)}  {step.title}"
        yield f"        changes: {step.changes}"
        if step.loses:
            yield f"        loses: {step.loses}"
        for calls in step.calls:
            yield f"        calls: {calls}"
        if step.by_hand:
            yield f"        by hand:\n{_indented(step.by_hand)}"

    def _confirm(self, rest: Sequence[Step]) -> None:
        losses = [step.loses for step in rest if step.loses]
        self.say("This cannot be undone:" if losses else "Nothing is lost.")
        for loss in losses:
            self.say(f"  - {loss}")
        name = self.procedure.stack
        if self.confirmed:
            typed, how = self.confirmed, "--yes"
        else:
            typed, how = self.ask(f"Type the name of the stack ({name}) to continue: ").strip(), "the answer"
        if typed != name:
            raise ProcedureError(f"nothing was changed: {how} is {typed!r}, but the stack is {name!r}")

    def _wait(self, number: int, step: Step) -> None:
        waited = 0
        while not self._guarded(number, step, step.done, writes=False):
            if waited >= step.minutes * 60:
                raise ProcedureError(
                    f"step {number} ({step.title}) is not complete after {step.minutes} minutes: look at it "
                    "in the account, then run the same command again, which continues"
                )
            self.sleep(POLL_SECONDS)
            waited += POLL_SECONDS

    def _guarded(self, number: int, step: Step, function: Callable[[Account], Any], *, writes: bool) -> Any:
        account = Account(self.client, step.calls, writes)
        try:
            return function(account)
        except ClientError as error:
            answer = error.response.get("Error", {})
            raise ProcedureError(
                f"step {number} ({step.title}): {error.operation_name} was refused with "
                f"{answer.get('Code', 'an unknown code')}: {' '.join(str(answer.get('Message', '')).split())}"
            ) from error
        except BotoCoreError as error:
            raise ProcedureError(f"step {number} ({step.title}): {' '.join(str(error).split())}") from error
        finally:
            self._made += account.made

    def _write(self, step: Step, event: str) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "procedure": self.procedure.name,
            "stack": self.procedure.stack,
            "step": step.title,
            "event": event,
            "calls": self._made,
        }
        with self.record.open("a") as file:
            file.write(f"{json.dumps(line)}\n")
        self._made = []


def _text(answer: Answer) -> str:
    return f"{answer.status}, {answer.found}" + (f" (do: {answer.remedy})" if answer.remedy else "")


def _indented(text: str) -> str:
    return "\n".join(f"            {line}" for line in text.splitlines())
