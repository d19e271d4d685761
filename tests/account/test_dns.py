"""The resolver's answers, in the form of RFC 1035, from a resolver on this machine."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Generator

import pytest

from account import dns

ZONE = b"\x07example\x03com\x00"
HERE = 0xC00C
"""A reference to the name in the question, which begins after the twelve bytes of the header."""


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("!HHHIH", HERE, kind, 1, 300, len(data)) + data


@contextlib.contextmanager
def resolver(*records: bytes, number: int = 0) -> Generator[tuple[str, int]]:
    """A resolver that answers one question. `number` is added to the question's number."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            question, client = server.recvfrom(512)
            first = (int.from_bytes(question[:2]) + number) % (1 << 16)
            header = struct.pack("!6H", first, 0x8180, 1, len(records), 0, 0)
            server.sendto(header + question[12:] + b"".join(records), client)

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()
        thread.join()


def test_name_servers_are_found_with_and_without_references() -> None:
    whole = record(2, b"\x03ns1\x07Example\x03net\x00")
    referring = record(2, b"\x03ns2" + struct.pack("!H", HERE))
    other = record(46, b"signature")
    with resolver(whole, other, referring) as server:
        assert dns.name_servers("example.com", server) == {"ns1.example.net", "ns2.example.com"}


def test_zone_without_delegation_has_none() -> None:
    with resolver() as server:
        assert dns.name_servers("example.com.", server) == frozenset()


def test_keys_of_a_delegation_are_those_of_its_ds_records() -> None:
    digest = struct.pack("!HBB", 4711, 13, 2) + b"digest"
    with resolver(record(43, digest), record(46, b"signature")) as server:
        assert dns.delegation_keys("example.com", server) == {4711}
    with resolver() as server:
        assert dns.delegation_keys("example.com", server) == frozenset()


def test_addresses_of_a_host() -> None:
    assert dns.addresses("127.0.0.1") == {"127.0.0.1"}
    with pytest.raises(socket.gaierror):
        dns.addresses("unknown.invalid")


def test_answer_to_another_question_is_refused() -> None:
    with resolver(number=1) as server, pytest.raises(OSError, match="another question"):
        dns.name_servers("example.com", server)


def test_loop_of_references_ends() -> None:
    loop = record(2, struct.pack("!H", 0xC000 | (12 + len(ZONE) + 4 + 12)))
    with resolver(loop) as server, pytest.raises(OSError, match="has a loop"):
        dns.name_servers("example.com", server)


def test_host_without_a_listener_is_out_of_reach() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        dns.connect("127.0.0.1", port)
