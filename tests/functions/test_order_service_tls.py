"""The order service over HTTPS: to which servers order intake sends orders, and to which it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from functions.order_intake.order_service import NotSentError, OrderService
from tests.functions.certificates import self_signed, server_context
from tests.functions.order_service_stub import OrderServiceStub


def certificate(directory: Path, host: str) -> Path:
    """A self-signed certificate for a name, with its key in the same file."""
    path = directory / f"{host}.pem"
    self_signed(x509.DNSName(host), path)
    return path


def serving(path: Path) -> OrderServiceStub:
    return OrderServiceStub(tls=server_context(path))


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OrderServiceStub]:
    """An order service whose certificate is valid for its name and from an authority that clients trust."""
    path = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    stub = serving(path)
    yield stub
    stub.stop()


def submit(url: str) -> int:
    return OrderService(url, "/readyz").submit(b"{}", "acc-1/c-1", {}, 5).status


def test_order_goes_to_the_name_in_a_known_certificate(trusted: OrderServiceStub) -> None:
    assert submit(trusted.url) == 201
    assert OrderService(trusted.url, "/readyz").ready(5)


def test_connection_is_kept_and_made_anew_once_the_other_side_has_closed_it(
    trusted: OrderServiceStub,
) -> None:
    service = OrderService(trusted.url, "/readyz")
    for close_after in (False, True, False):
        trusted.close_after = close_after
        assert service.submit(b"{}", "acc-1/c-1", {}, 5).status == 201
    assert [received.connection for received in trusted.received] == [0, 0, 1]


def test_order_is_not_sent_to_another_name_than_the_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path, "internal.example.com")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    stub = serving(path)
    with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
        submit(stub.url)
    stub.stop()
    assert stub.received == []


def test_order_is_not_sent_to_a_certificate_of_nobody(tmp_path: Path) -> None:
    stub = serving(certificate(tmp_path, "localhost"))
    with pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"):
        submit(stub.url)
    stub.stop()
    assert stub.received == []
