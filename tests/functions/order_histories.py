"""Generated histories of the order path: the real handler, moto's DynamoDB and a real HTTP server that fails.

A history consists of clients that send orders, and of faults at every step of an attempt: in the table, at
any byte of the exchange with the order service, in the time that passes, and in the function, which can
be killed between any two steps. Two attempts can run at the same time, step by step. After each answer,
`Histories` checks what must hold for every history (docs/decisions/0005-orders-of-unknown-outcome.md).
"""

# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
# (boto3's stubs are installed for one service only)
from __future__ import annotations

import contextlib
import itertools
import json
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from functions.order_intake.gate import OrderGate
from functions.order_intake.handler import OrderIntake
from functions.order_intake.idempotency import LEASE_SECONDS, RETENTION_SECONDS, IdempotencyStore
from functions.order_intake.order_service import OrderService
from tests.functions.faulty_order_service import FORBIDDEN, RIGHT, Fault, FaultyOrderService
from tests.functions.records import TABLE

WAIT = 20.0
"""Seconds after which a step that does not end counts as a deadlock."""
SHORT, LONG = 0.05, 10.0
"""Seconds that the function waits for an order service that hangs, and for one that answers."""

NOT_ACCEPTED = {"/problems/overloaded", "/problems/forbidden", "/problems/bad-gateway"}

Order = tuple[str, str, str]
"""Caller, client order id and quantity."""

faults_seen: Counter[str] = Counter()
histories = itertools.count(1)


class Killed(BaseException):
    """The function's process ends here."""


@dataclass
class Attempt:
    """One invocation of the function, which runs in a thread of its own and stops at each step if told so."""

    number: int
    order: Order
    fault: Fault
    table_faults: dict[int, str]
    """The number of the table's call → `refused` (not applied), `lost` (applied, but the answer is lost) or
    `repeated` (applied, and sent again by the client library)."""
    free: bool
    """Whether it runs without stopping."""
    calls: int = 0
    claimed: int = 0
    """When it claimed the order's record. Before that, it could as well be an attempt that the client makes
    later."""
    withdrew: int = 0
    """When it withdrew the record, counted together with the claims."""
    killed: bool = False
    answer: tuple[int, dict[str, Any], dict[str, str]] | None = None
    at: str = ""
    reached: queue.Queue[str] = field(default_factory=queue.Queue[str])
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gave_up: threading.Event = field(default_factory=threading.Event)

    def point(self, name: str) -> None:
        """A step, at which another attempt can run, or the function can be killed."""
        if not self.free:
            self.reached.put(name)
            self.go.acquire()


class _Table:
    """The table's client for one execution environment, with the faults of the attempt that runs there."""

    def __init__(self, client: Any, lock: threading.Lock, clock: Iterator[int]) -> None:
        self._client, self._lock, self._clock = client, lock, clock
        self.attempt: Attempt | None = None

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            attempt = self.attempt
            assert attempt
            attempt.calls += 1
            fault = attempt.table_faults.get(attempt.calls, "")
            attempt.point(f"before {operation}")
            if attempt.killed:
                raise Killed
            if fault == "refused":
                faults_seen["table: not applied"] += 1
                raise EndpointConnectionError(endpoint_url="dynamodb")
            with self._lock:  # moto is not atomic between threads; DynamoDB's writes to one item are
                attempt.claimed = attempt.claimed or next(self._clock)
                if operation == "delete_item":
                    attempt.withdrew = next(self._clock)
                if fault == "repeated":
                    # The client library repeats a write whose first answer was lost.
                    faults_seen["table: applied twice"] += 1
                    with contextlib.suppress(ClientError):
                        getattr(self._client, operation)(**arguments)
                result = getattr(self._client, operation)(**arguments)
            attempt.point(f"after {operation}")
            if attempt.killed:
                raise Killed
            if fault == "lost":
                faults_seen["table: answer lost"] += 1
                raise EndpointConnectionError(endpoint_url="dynamodb")
            return result

        return call


class Context:
    """A Lambda context with this many milliseconds left."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@dataclass
class _Environment:
    """An execution environment, which runs one attempt at a time and keeps its connection."""

    intake: OrderIntake
    table: _Table
    attempt: Attempt | None = None


orders = st.tuples(
    st.sampled_from(["ann", "ben", FORBIDDEN]), st.sampled_from(["c-1", "c-2"]), st.sampled_from("12")
)
good_faults = st.just(RIGHT)
bad_faults = st.builds(
    Fault,
    reads=st.sampled_from(["all", "all", "all", "headers", "nothing"]),
    accepts=st.booleans(),
    answer=st.sampled_from(
        [
            *("right", "none", "hang", "hang_then_accept", "garbage", "status", "headers", "body"),
            *("500", "502", "503", "504", "429", "404", "401", "301"),
        ]
    ),
    after=st.sampled_from(["keep", "close", "garbage"]),
    reset=st.booleans(),
    then_down=st.booleans(),
)
faults = st.one_of(good_faults, bad_faults)
table_faults = st.dictionaries(
    st.integers(1, 3), st.sampled_from(["refused", "lost", "repeated"]), max_size=1
)


class Histories(RuleBasedStateMachine):
    """Set `client` to a DynamoDB client with the table before the machine runs."""

    client: Any = None

    @initialize()
    def begin(self) -> None:
        self.account = f"acc-{next(histories)}"
        self.now = 1_800_000_000.0
        self.time = itertools.count(1)
        self.attempts: dict[str, Attempt] = {}
        self.service = FaultyOrderService(
            faults=lambda request: self.attempts[request].fault,
            gate=lambda request, name: self.attempts[request].point(name),
            gave_up=lambda request: self.attempts[request].gave_up,
            on_accept=self._accept,
        )
        lock = threading.Lock()
        self.environments = [self._environment(lock) for _ in range(2)]
        self.final: dict[Order, tuple[int, str]] = {}
        self.not_accepted: dict[Order, int] = {}
        """The order → when the record was withdrawn before the last answer that said so."""
        self.asked: list[Order] = []
        self.violations: list[str] = []

    def _environment(self, lock: threading.Lock) -> _Environment:
        table = _Table(self.client, lock, self.time)
        store = IdempotencyStore(table, TABLE, lambda: self.now)  # type: ignore[arg-type]
        gate = OrderGate(table, TABLE, "us-east-1", "us-east-1")  # type: ignore[arg-type]
        service = OrderService(self.service.url, "/readyz")
        return _Environment(OrderIntake(store, gate, service, LONG), table)

    def teardown(self) -> None:
        if not hasattr(self, "service"):
            return
        try:
            for environment in self.environments:
                self._finish(environment)
            self._everything_is_answered_in_the_end()
        finally:
            for attempt in self.attempts.values():
                attempt.gave_up.set()
            self.service.close()
            for environment in self.environments:
                environment.intake._order_service._close()

    # -- what happens ------------------------------------------------------------------------------

    @rule(
        order=orders,
        fault=faults,
        table=table_faults,
        where=st.integers(0, 1),
        seconds=st.sampled_from([60, 60, 5]),
    )
    def send(self, order: Order, fault: Fault, table: dict[int, str], where: int, seconds: int) -> None:
        """A client sends an order and waits for the answer."""
        environment = self.environments[where]
        self._finish(environment)
        self._start(environment, order, fault, table, free=True, seconds=seconds)
        self._finish(environment)

    @rule(order=orders, fault=faults, table=table_faults, where=st.integers(0, 1))
    def begin_attempt(self, order: Order, fault: Fault, table: dict[int, str], where: int) -> None:
        """A client sends an order, which is then handled step by step."""
        environment = self.environments[where]
        self._finish(environment)
        self._start(environment, order, fault, table, free=False, seconds=60)

    @rule(where=st.integers(0, 1), steps=st.integers(1, 4))
    def go_on(self, where: int, steps: int) -> None:
        """An attempt makes some steps.

        The rule has no precondition, because it can depend on the machine's speed whether an attempt still
        runs, and Hypothesis must be able to repeat its choices.
        """
        for _ in range(steps):
            self._step(self.environments[where])

    @rule(where=st.integers(0, 1))
    def kill(self, where: int) -> None:
        """The function's process ends between two steps; the order service doesn't notice."""
        environment = self.environments[where]
        if environment.attempt:
            faults_seen[f"killed {environment.attempt.at}"] += 1
            environment.attempt.killed = True
            self._finish(environment)

    @rule(seconds=st.sampled_from([1, LEASE_SECONDS - 1, LEASE_SECONDS, RETENTION_SECONDS]))
    def wait(self, seconds: int) -> None:
        """Time passes, also for attempts that are running."""
        self.now += seconds

    @rule()
    def stop_service(self) -> None:
        """The order service stops."""
        faults_seen["service down"] += 1
        self.service.down()

    @rule()
    def heal_service(self) -> None:
        """The order service accepts connections again."""
        self.service.heal()

    # -- how it happens ----------------------------------------------------------------------------

    def _start(
        self,
        environment: _Environment,
        order: Order,
        fault: Fault,
        table: dict[int, str],
        *,
        free: bool,
        seconds: int,
    ) -> Attempt:
        number = len(self.attempts)
        attempt = Attempt(number, order, fault, table, free)
        self.attempts[f"req-{number}"] = attempt
        environment.attempt = environment.table.attempt = attempt
        environment.intake._order_timeout = SHORT if fault.answer.startswith("hang") else LONG
        self.asked.append(order)
        if fault != RIGHT:
            faults_seen[f"service: reads {fault.reads}, answers {fault.answer}"] += 1
        threading.Thread(target=self._run, args=(environment, attempt, seconds), daemon=True).start()
        if not free:
            attempt.at = attempt.reached.get(timeout=WAIT)
        return attempt

    def _run(self, environment: _Environment, attempt: Attempt, seconds: int) -> None:
        try:
            response = environment.intake.handle(
                order_event(self.account, attempt.order, f"req-{attempt.number}"), Context(seconds * 1000)
            )
            attempt.answer = response["statusCode"], _json(response["body"]), response["headers"]
        except Killed:
            # Its connection ends with it.
            environment.intake._order_service._close()
        finally:
            attempt.gave_up.set()
            attempt.reached.put("end")

    def _step(self, environment: _Environment) -> None:
        attempt = environment.attempt
        if not attempt:
            return
        if not attempt.free:
            attempt.go.release()
        attempt.at = attempt.reached.get(timeout=WAIT)
        if attempt.at == "end":
            environment.attempt = None
            if attempt.answer and not attempt.killed:
                self._check(attempt)

    def _finish(self, environment: _Environment) -> None:
        while environment.attempt:
            self._step(environment)
        self._nothing_was_violated()

    # -- what must hold ----------------------------------------------------------------------------

    def _accept(self, request: str, body: bytes) -> None:
        """Called by the service when it accepts an order."""
        attempt = self.attempts[request]
        if self.not_accepted.get(attempt.order, 0) > attempt.claimed:
            self.violations.append(f"{attempt.order} was accepted after its client was told that it was not")

    def _check(self, attempt: Attempt) -> None:
        assert attempt.answer
        status, body, headers = attempt.answer
        order, kind = attempt.order, body.get("type", "")
        if kind in NOT_ACCEPTED:
            self.not_accepted[order] = max(attempt.withdrew, self.not_accepted.get(order, 0))
            accepted = [self.attempts[it.request] for it in self.service.accepted.values()]
            if any(it.order == order and it.claimed < attempt.withdrew for it in accepted):
                self.violations.append(f"{order} was accepted, and its client was told {status} {kind}")
        elif kind == "/problems/different-order":
            if not any(other[:2] == order[:2] and other != order for other in self.asked):
                self.violations.append(f"{order}: nobody else used the id, and its client was told {kind}")
        elif not kind:
            text = json.dumps(body)
            before = self.final.get(order)
            if before and before != (status, text):
                self.violations.append(f"{order} was answered {before} and then {(status, text)}")
            if order[0] == FORBIDDEN and status < 300:
                self.violations.append(f"{order} of a stranger was accepted")
            self.final[order] = status, text
        elif "Retry-After" not in headers and status != 403:
            self.violations.append(f"{order} was answered {status} {kind} without Retry-After")

    def _nothing_was_violated(self) -> None:
        bodies: dict[str, set[bytes]] = {}
        for _, key, body in self.service.received:
            bodies.setdefault(key, set()).add(body)
        doubled = [key for key, found in bodies.items() if len(found) > 1]
        if doubled:
            self.violations.append(f"different orders were sent under the key {doubled}")
        assert not self.violations, self.violations

    def _everything_is_answered_in_the_end(self) -> None:
        """A client that follows Retry-After learns a final answer once everything is healthy."""
        environment = self.environments[0]
        for order in dict.fromkeys(self.asked):
            status, kind = 0, ""
            for _ in range(4):
                # Each time, because a request that hung can stop the service after its client has given up.
                self.service.heal()
                attempt = self._start(environment, order, RIGHT, {}, free=True, seconds=60)
                self._finish(environment)
                assert attempt.answer
                status, body, headers = attempt.answer
                kind = body.get("type", "")
                if not kind or status == 403 or kind == "/problems/different-order":
                    break
                self.now += int(headers["Retry-After"])
            else:
                raise AssertionError(f"{order} has no final answer, but {status} {kind}")


def _json(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError:
        return {"text": text}


def order_event(account: str, order: Order, request: str) -> dict[str, Any]:
    """The event of an order of a caller for an account."""
    caller, name, quantity = order
    body = {
        "account_id": account,
        "client_order_id": name,
        "symbol": "AAPL",
        "side": "buy",
        "type": "market",
        "quantity": quantity,
    }
    return {
        "httpMethod": "POST",
        "resource": "/api/orders",
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
        "requestContext": {"requestId": request, "authorizer": {"claims": {"sub": caller}}},
    }
