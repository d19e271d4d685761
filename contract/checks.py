"""The checks of the contract, from the outside: each places orders of its own and compares the answers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from contract.client import Answer, Client, NoAnswerError, Request
from functions.order_intake.validation import Order, parse_order

CONCURRENT = 8
"""Requests that are sent at the same time."""
ROUNDS = 3
"""How often they are, each time with a new order: a race isn't lost every time."""
IN_A_ROW = 3
"""Orders on one connection."""
QUIET_SECONDS = 0.1
"""How long the service must be silent after an answer on a kept connection."""
INVALID, DIFFERENT, STRANGER = {400, 422}, {409, 422}, {401, 403}
"""Statuses that refuse an invalid order, another order under a known name, and a caller."""
REFUSED_FOR_GOOD = {400, 409, 422}
"""Statuses that order intake passes on as final (`functions/order_intake/handler.py`)."""


@dataclass(frozen=True)
class Result:
    """What a check found."""

    check: str
    status: Literal["pass", "fail", "unknown"]
    found: str
    wanted: str


class BrokenContractError(Exception):
    """Raised by a check with what it found instead of what the contract wants."""


class UnknownError(Exception):
    """Raised by a check that can't be made with the given arguments."""


@dataclass(frozen=True)
class Trial:
    """The service under test, and the orders to place.

    Attributes:
        client: a client of the service. It is new, because some checks judge all answers of a run.
        account_id: the account of all orders.
        caller: the subject of a caller who may trade for the account.
        stranger: the subject of a caller who may not, if there is one.
        symbol: what all orders are for.
        quantity: how much they buy. Orders that must differ from another one buy twice as much.
        limit_price: the price above which they don't.
        limit: seconds within which an order must be answered.
        settle: seconds that the service gets to notice that its client has gone.
    """

    client: Client
    account_id: str
    caller: str
    stranger: str | None
    symbol: str
    quantity: str
    limit_price: str
    limit: float = 5.0
    settle: float = 0.5

    def check_arguments(self) -> None:
        """Checks that the function would submit these orders.

        Raises:
            Problem: it would not; the problem's errors name the fields.
        """
        order = self.order()
        parse_order(order.payload(), "application/json")
        parse_order(self.other(order).payload(), "application/json")

    def order(self) -> Order:
        """An order with a client order id of its own."""
        return Order(
            {
                "account_id": self.account_id,
                "client_order_id": f"contract-{uuid.uuid4().hex}",
                "symbol": self.symbol,
                "side": "buy",
                "type": "limit",
                "quantity": self.quantity,
                "limit_price": self.limit_price,
            }
        )

    def other(self, order: Order) -> Order:
        """Another order with the same client order id."""
        return _changed(order, quantity=f"{2 * Decimal(self.quantity):f}")

    def request(self, order: Order) -> Request:
        """The order as order intake sends it. Retries of an order are equal to the byte."""
        return Request(
            order,
            self.caller,
            order.idempotency_key(self.caller),
            request_id=order.client_order_id,
            trace="Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=0",
        )

    def place(self) -> tuple[Request, Answer]:
        """Places a new order.

        Raises:
            BrokenContractError: it was not accepted.
        """
        request = self.request(self.order())
        answer = self.client.submit(request)
        _expect(answer.accepted, f"a new order got {answer}")
        return request, answer

    def settled(self, request: Request) -> Answer:
        """The answer to a request that the service may still be working on: the first one below 500."""
        deadline = time.monotonic() + self.limit
        while True:
            answer = self.client.submit(request)
            if answer.status < 500 or time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def expect_repeated(self, request: Request, first: Answer, when: str) -> None:
        """Expects the order to be still accepted, with the body of the first answer.

        Raises:
            BrokenContractError: it was answered differently.
        """
        again = self.client.submit(request)
        _expect(again.accepted and again.body == first.body, f"{when}, {first} became {again}")


@dataclass(frozen=True)
class Check:
    """One line of the contract. `run` returns what it found, or raises."""

    name: str
    wanted: str
    run: Callable[[Trial], str]


def results(trial: Trial) -> list[Result]:
    """Runs all checks, in their order."""
    return [_result(check, trial) for check in CHECKS]


def _result(check: Check, trial: Trial) -> Result:
    try:
        return Result(check.name, "pass", check.run(trial), check.wanted)
    except (BrokenContractError, NoAnswerError) as error:
        return Result(check.name, "fail", str(error), check.wanted)
    except UnknownError as error:
        return Result(check.name, "unknown", str(error), check.wanted)


def _accepts_order(trial: Trial) -> str:
    _, answer = trial.place()
    _expect(isinstance(answer.document(), dict), f"the answer {answer} is not a JSON object")
    return str(answer)


def _repeats_answer(trial: Trial) -> str:
    request, first = trial.place()
    for _ in range(2):
        again = trial.client.submit(request)
        _expect((again.status, again.body) == (first.status, first.body), f"first {first}, then {again}")
    return f"{first.status} three times, with the same body"


def _ignores_other_headers(trial: Trial) -> str:
    request, first = trial.place()
    trial.expect_repeated(replace(request, request_id=uuid.uuid4().hex), first, "with another X-Request-Id")
    trial.expect_repeated(replace(request, trace=""), first, "with an empty X-Amzn-Trace-Id")
    return "the same answer with another X-Request-Id and an empty X-Amzn-Trace-Id"


def _concurrent_requests(trial: Trial) -> str:
    later = 0
    for _ in range(ROUNDS):
        request = trial.request(trial.order())
        answers = _at_once(trial.client, request)
        # 5xx means that the outcome is unknown, which order intake asks again for.
        final = [answer for answer in answers if answer.status < 500]
        later += len(answers) - len(final)
        for answer in final:
            _expect(answer.accepted, f"one of {CONCURRENT} got {answer}")
        final.append(trial.settled(request))
        different = sorted({str(answer) for answer in final})
        _expect(len({(answer.status, answer.body) for answer in final}) == 1, " and ".join(different))
        _expect(final[0].accepted, f"afterwards, the key got {final[0]}")
    return f"{ROUNDS} times {CONCURRENT} requests, one answer each time" + (
        f" ({later} requests got 5xx first)" if later else ""
    )


def _at_once(client: Client, request: Request) -> list[Answer]:
    barrier = threading.Barrier(CONCURRENT, timeout=client.patience)

    def submit() -> Answer:
        try:
            with client.connect() as connection:
                barrier.wait()
                return connection.submit(request)
        except threading.BrokenBarrierError:
            raise NoAnswerError(f"cannot open {CONCURRENT} connections at the same time") from None

    with ThreadPoolExecutor(CONCURRENT) as threads:
        return [future.result() for future in [threads.submit(submit) for _ in range(CONCURRENT)]]


def _known_key(trial: Trial) -> str:
    request, first = trial.place()
    # Another client order id, so that only the key can be the reason.
    other = trial.client.submit(replace(request, order=trial.other(trial.order())))
    _expect(other.status in DIFFERENT, f"the other order got {other}")
    trial.expect_repeated(request, first, "after the other order")
    return f"{other.status}, and the first order's answer is the same"


def _known_client_order_id(trial: Trial) -> str:
    request, first = trial.place()
    other = trial.request(trial.other(request.order))
    for sent in ("the other order", "the other order, sent again,"):
        answer = trial.client.submit(other)
        _expect(answer.status in DIFFERENT, f"{sent} got {answer}")
    trial.expect_repeated(request, first, "after the other order")
    return f"{answer.status}, and the first order's answer is the same"


def _refuses_strangers(trial: Trial) -> str:
    if trial.stranger is None:
        raise UnknownError("not checked without --stranger")
    request, first = trial.place()
    known = trial.client.submit(replace(request, caller=trial.stranger))
    _expect(known.status in STRANGER, f"a stranger who sent a known key got {known}")
    _expect(first.body not in known.body, "a stranger was shown a known key's answer")
    order = trial.order()
    strange = replace(trial.request(order), caller=trial.stranger, key=order.idempotency_key(trial.stranger))
    new = trial.client.submit(strange)
    _expect(new.status == known.status, f"a stranger got {known} for a known key, but {new} for a new order")
    own = trial.client.submit(trial.request(order))
    _expect(own.accepted, f"a client order id that a stranger had sent before got {own}")
    return f"{known.status} for a known key and for a new order"


def _cut_requests(trial: Trial) -> str:
    for place in ("after the headers", "in the body"):
        request = trial.request(trial.order())
        data = request.encode(trial.client.host, trial.client.port)
        head = data.index(b"\r\n\r\n") + 4
        with trial.client.connect() as connection:
            connection.send(data[: head if place == "after the headers" else (head + len(data)) // 2])
            connection.end(trial.settle)
        answer = trial.settled(request)
        _expect(answer.accepted, f"after a cut {place}, the complete request got {answer}")
        trial.expect_repeated(request, answer, f"after a cut {place}")
    return "cut after the headers and in the body; then sent completely: accepted"


def _client_gone(trial: Trial) -> str:
    request = trial.request(trial.order())
    with trial.client.connect() as connection:
        connection.send(request.encode(trial.client.host, trial.client.port))
    time.sleep(trial.settle)
    answer = trial.settled(request)
    _expect(answer.accepted, f"the client went away, and its next request got {answer}")
    trial.expect_repeated(request, answer, "after the client had gone")
    return f"the next request got {answer.status}"


def _keeps_connection(trial: Trial) -> str:
    answers: list[tuple[Request, Answer]] = []
    with trial.client.connect() as connection:
        for count in range(1, IN_A_ROW + 1):
            request = trial.request(trial.order())
            answer = connection.submit(request)
            _expect(answer.accepted, f"order {count} on a connection got {answer}")
            answers.append((request, answer))
            _expect(not answer.closes, f"the connection is closed after {count} of {IN_A_ROW} orders")
            # The connection's end counts too: a request could be on its way at that moment.
            _expect(
                connection.is_quiet(QUIET_SECONDS),
                f"answer {count} is followed by further bytes or by the connection's end",
            )
    for request, answer in answers:
        trial.expect_repeated(request, answer, "on another connection")
    return f"{IN_A_ROW} orders on one connection, with nothing between the answers"


def _invalid_order(trial: Trial) -> str:
    valid = trial.request(trial.order())
    invalid = replace(valid, order=_changed(valid.order, side="neither"))
    refused, again = trial.client.submit(invalid), trial.client.submit(invalid)
    for answer in (refused, again):
        _expect(answer.status in INVALID, f'side "neither" got {answer}')
    corrected = trial.client.submit(valid)
    if corrected.accepted:
        trial.expect_repeated(valid, corrected, "sent again")
    else:
        again = trial.client.submit(valid)
        for answer in (corrected, again):
            _expect(answer.status in REFUSED_FOR_GOOD, f"the corrected order got {answer}")
    return f"{refused.status}; the corrected order under the same key got {corrected.status} each time"


def _has_length(trial: Trial) -> str:
    _expect(bool(trial.client.answers), "there was no answer")
    without = [answer for answer in trial.client.answers if not answer.has_length]
    _expect(not without, f"{len(without)} of {len(trial.client.answers)} answers end with the connection")
    return f"all {len(trial.client.answers)} answers"


def _in_time(trial: Trial) -> str:
    slowest = f"the slowest answer took {trial.client.slowest:.2f} s"
    _expect(bool(trial.client.answers), "there was no answer")
    _expect(trial.client.slowest <= trial.limit, slowest)
    return slowest


def _expect(holds: bool, found: str) -> None:
    if not holds:
        raise BrokenContractError(found)


def _changed(order: Order, **changes: str) -> Order:
    fields: Mapping[str, str] = {**order.fields, **changes}
    return Order(fields)


CHECKS = (
    Check("accepts-order", "a new order gets 2xx with a JSON object", _accepts_order),
    Check("repeats-answer", "the same request gets the same status and body", _repeats_answer),
    Check(
        "ignores-other-headers",
        "X-Request-Id and X-Amzn-Trace-Id don't change the answer",
        _ignores_other_headers,
    ),
    Check(
        "concurrent-requests",
        "one order and one answer; 5xx but no 4xx while in progress",
        _concurrent_requests,
    ),
    Check("known-key", "another order gets 409 or 422, and the first one stays", _known_key),
    Check(
        "known-client-order-id",
        "another order under its own key gets 409 or 422, and the first one stays",
        _known_client_order_id,
    ),
    Check(
        "refuses-strangers",
        "401 or 403 for who may not trade, before the key is looked at",
        _refuses_strangers,
    ),
    Check("cut-requests", "a request that was cut places and decides nothing", _cut_requests),
    Check("client-gone", "an order whose client has gone is answered under its key", _client_gone),
    Check("keeps-connection", "several orders on one connection, and silence between", _keeps_connection),
    Check(
        "invalid-order",
        "400 or 422; the corrected order under the key is answered consistently",
        _invalid_order,
    ),
    # These two judge the answers of all checks above.
    Check("answers-have-length", "Content-Length, or chunked", _has_length),
    Check("answers-in-time", "each answer within 5 s", _in_time),
)
"""All checks."""
