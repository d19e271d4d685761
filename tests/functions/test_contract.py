"""The kit for the order service: one that keeps the contract passes, and each fault fails its own checks."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from contract import order_service
from contract.checks import CHECKS, Result, Trial, results
from contract.client import Client
from functions.order_intake.order_service import OrderService
from functions.order_intake.validation import parse_order
from tests.functions.certificates import self_signed, server_context
from tests.functions.faulty_order_service import FORBIDDEN, RIGHT, FaultyOrderService
from tests.functions.order_service_stub import OrderServiceStub
from tests.functions.wrong_order_service import STRANGER, WrongOrderService

ROOT = Path(__file__).parents[2]
ALL = {check.name for check in CHECKS}


@pytest.fixture
def right() -> Iterator[FaultyOrderService]:
    """The service that the histories of the order path use, without faults."""
    service = FaultyOrderService(lambda _: RIGHT, lambda _, __: None, lambda _: threading.Event())
    yield service
    service.close()


@pytest.fixture
def wrong() -> Iterator[Callable[[str], WrongOrderService]]:
    services: list[WrongOrderService] = []

    def start(fault: str) -> WrongOrderService:
        services.append(WrongOrderService(fault))
        return services[-1]

    yield start
    for service in services:
        service.stop()


def trial(url: str, stranger: str | None = STRANGER, patience: float = 5, limit: float = 2) -> Trial:
    return Trial(
        Client(url, patience), "acc-1", "ann", stranger, "TEST", "0.0001", "0.01", limit=limit, settle=0.1
    )


def failed(found: list[Result]) -> set[str]:
    return {result.check for result in found if result.status == "fail"}


def test_service_that_keeps_the_contract_passes(right: FaultyOrderService) -> None:
    assert STRANGER == FORBIDDEN
    found = results(trial(right.url))
    assert [result for result in found if result.status != "pass"] == []
    assert [result.check for result in found] == [check.name for check in CHECKS]
    assert len({order.body for order in right.accepted.values()}) == len(right.accepted)


@pytest.mark.parametrize("way", ["", "chunked", "503 while in progress"])
def test_contract_can_be_kept_in_another_way(way: str, wrong: Callable[[str], WrongOrderService]) -> None:
    found = results(trial(wrong(way).url))
    assert [result for result in found if result.status != "pass"] == []


REPEATED = {
    "repeats-answer",
    "ignores-other-headers",
    "concurrent-requests",
    "known-key",
    "known-client-order-id",
    "cut-requests",
    "client-gone",
    "keeps-connection",
    "invalid-order",
}
"""The checks that send an order again and expect its answer."""
FAULTS: dict[str, set[str]] = {
    "no JSON": {"accepts-order"},
    "forgets keys": REPEATED,
    "200 for a repeated order": {"repeats-answer", "concurrent-requests"},
    "compares request ids": {"ignores-other-headers"},
    "wants a trace": {"ignores-other-headers"},
    "race": {"concurrent-requests"},
    "409 while in progress": {"concurrent-requests"},
    "422 while in progress": {"concurrent-requests"},
    "429 while in progress": {"concurrent-requests"},
    "ignores the order under a known key": {"known-key"},
    "another order replaces the first": {"known-key"},
    "client order ids are not unique": {"known-client-order-id"},
    "400 for another order": {"known-key", "known-client-order-id"},
    "authorises after the key": {"refuses-strangers"},
    "knows no strangers": {"refuses-strangers"},
    "strangers take client order ids": {"refuses-strangers"},
    "shows strangers the first answer": {"refuses-strangers"},
    "tells strangers which keys are known": {"refuses-strangers"},
    "decides about requests cut after the headers": {"cut-requests"},
    "decides about requests cut in the body": {"cut-requests"},
    "withdraws orders of clients that have gone": {"client-gone"},
    "announces the end": {"keeps-connection"},
    "closes silently": {"keeps-connection"},
    "further bytes": {"keeps-connection"},
    "closes without length": {"keeps-connection", "answers-have-length"},
    "accepts invalid orders": {"invalid-order"},
    "remembers invalid orders, forgets why": {"invalid-order"},
    "slow": {"answers-in-time"},
    "cuts answers": ALL,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_fails_its_checks_and_no_others(fault: str, wrong: Callable[[str], WrongOrderService]) -> None:
    found = results(trial(wrong(fault).url, limit=0.05 if fault == "slow" else 2))
    assert failed(found) == FAULTS[fault], found


def test_every_check_fails_for_a_fault_of_its_own() -> None:
    few = [checks for checks in FAULTS.values() if len(checks) <= 2]
    assert set().union(*few) == ALL


def test_documentation_shows_what_the_command_prints(right: FaultyOrderService) -> None:
    printed = order_service.table(results(trial(right.url))).splitlines()
    shown = (ROOT / "docs" / "order-service.md").read_text().splitlines()
    start = shown.index(printed[0])
    differ = [line for line, as_shown in zip(printed, shown[start:], strict=False) if line != as_shown]
    assert [line for line in differ if "the slowest answer took" not in line] == []


def test_documentation_has_every_check() -> None:
    page = (ROOT / "docs" / "order-service.md").read_text()
    rows = [f"| `{check.name}` | {check.wanted} |" for check in CHECKS]
    assert [row for row in rows if row not in page] == []


@pytest.mark.parametrize("fault", ["never answers", "drips"])
def test_service_without_whole_answers_fails_in_bounded_time(
    fault: str, wrong: Callable[[str], WrongOrderService]
) -> None:
    started = time.monotonic()
    found = results(trial(wrong(fault).url, patience=0.1, limit=0.05))
    assert time.monotonic() - started < 20
    assert failed(found) == ALL
    assert found[0].found == "no whole answer within 0.1 s"


def test_answer_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for raw in (b"\x1b[2J\r\n\r\n", b"HTTP/1.1 404 \r\nContent-Length: 4\r\n\r\n\x1b[2J"):
        stub = OrderServiceStub(raw=raw)
        assert order_service.main([stub.url]) == 1
        stub.stop()
        output = capsys.readouterr().out
        assert "x1b[2J" in output
        assert "\x1b" not in output


def test_requests_are_those_of_order_intake() -> None:
    stub = OrderServiceStub()
    request = (asked := trial(stub.url)).request(asked.order())
    asked.client.submit(request)
    headers = {
        name: {key.lower(): value for key, value in stub.received[0].headers.items()}[name.lower()]
        for name in ("X-Request-Id", "X-Caller-Subject", "X-Amzn-Trace-Id")
    }
    order = parse_order(request.order.payload(), "application/json")
    OrderService(stub.url, "/").submit(order.payload(), order.idempotency_key("ann"), headers, 5)
    stub.stop()
    ours, theirs = stub.received
    assert (ours.path, list(ours.headers.items()), ours.body) == (
        theirs.path,
        list(theirs.headers.items()),
        theirs.body,
    )


def test_kit_speaks_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "localhost.pem"
    self_signed(x509.DNSName("localhost"), path)
    stub = OrderServiceStub(tls=server_context(path))
    status = order_service.main([stub.url])
    assert status == 2  # the certificate is from an authority that nobody knows
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    found = {result.check: result.status for result in results(trial(stub.url))}
    stub.stop()
    # The stub answers every request alike.
    assert {check for check, status in found.items() if status == "fail"} == {
        "known-key",
        "known-client-order-id",
        "refuses-strangers",
        "invalid-order",
    }


def test_command_prints_a_table(right: FaultyOrderService, capsys: pytest.CaptureFixture[str]) -> None:
    assert order_service.main([right.url, "--account", "acc-7", "--caller", "bob"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["check", "result", "found", "wanted"]
    assert lines[-1] == f"{len(CHECKS) - 1} pass, 1 unknown"
    assert [line for line in lines if "unknown" in line and "--stranger" in line]
    accepted = [json.loads(order.body) for order in right.accepted.values()]
    assert {(order["account_id"], order["side"], order["limit_price"]) for order in accepted} == {
        ("acc-7", "buy", "0.01")
    }
    assert {float(order["quantity"]) for order in accepted} <= {0.0001}


def test_command_runs_without_the_programs_packages(wrong: Callable[[str], WrongOrderService]) -> None:
    service = wrong("client order ids are not unique")
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c",
         f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv[1:] = "
         f"[{service.url!r}, '--stranger', {STRANGER!r}, '--json']; "
         "runpy.run_module('contract.order_service', run_name='__main__')"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (1, "")
    found = json.loads(run.stdout)
    assert [set(result) for result in found] == [{"check", "status", "found", "wanted"}] * len(CHECKS)
    assert [result["check"] for result in found if result["status"] == "fail"] == ["known-client-order-id"]


UNUSED = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([UNUSED], "cannot connect to 127.0.0.1:9"),
        (["localhost:8080"], "must look like https://host:port"),
        (["https://localhost"], "must look like https://host:port"),
        (["http://localhost:8080/api/orders"], "must look like https://host:port"),
        (["http://user@localhost:8080"], "must look like https://host:port"),
        (["http://localhost:99999"], "Port out of range"),
        (["http://[::1:80"], "Invalid IPv6 URL"),
        ([UNUSED, "--account", "a b"], "--account 'a b': must be 1 to 64 letters"),
        ([UNUSED, "--symbol", "test"], "--symbol 'test': must be 1 to 20 capitals"),
        ([UNUSED, "--quantity", "1e999999999"], "--quantity '1e999999999': must be a decimal"),
        ([UNUSED, "--quantity", "999999999999"], "--quantity '999999999999': must be a decimal"),
        ([UNUSED, "--limit-price", "0"], "--limit-price '0': must be above zero"),
        ([UNUSED, "--caller", "a\r\nb"], "--caller 'a\\r\\nb': must be printable ASCII"),
        ([UNUSED, "--caller", ""], "--caller '': must be printable ASCII"),
        ([UNUSED, "--stranger", "contract-caller"], "must differ from --caller"),
    ],
)
def test_wrong_argument_is_one_error(
    arguments: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert order_service.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert error in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["http://localhost:1", "--acount", "a"]])
def test_unknown_argument_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        order_service.main(arguments)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_help_says_that_orders_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        order_service.main(["--help"])
    assert "real orders" in capsys.readouterr().out
