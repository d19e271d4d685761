"""What everybody's name servers say, and whether a host accepts connections. Nothing here needs an
account."""

from __future__ import annotations

import secrets
import socket
import struct
import urllib.request
from pathlib import Path

_SECONDS = 5
_NS = 2
_DS = 43
_INTERNET = 1
_RESOLVERS = Path("/etc/resolv.conf")


def name_servers(name: str, server: tuple[str, int] | None = None) -> frozenset[str]:
    """The name servers of a zone, as the resolver of this machine finds them; empty if there are none.

    Raises:
        OSError: no resolver answers.
    """
    answer = _answer(name, _NS, server)
    return frozenset(_name(answer, start)[0] for start, _ in _records(answer, _NS))


def delegation_keys(name: str, server: tuple[str, int] | None = None) -> frozenset[int]:
    """The tags of the keys in a zone's DS records, which are in its parent zone (RFC 4034, section 5.1);
    empty if there are none.

    Raises:
        OSError: no resolver answers.
    """
    answer = _answer(name, _DS, server)
    return frozenset(int.from_bytes(answer[start : start + 2]) for start, _ in _records(answer, _DS))


def addresses(name: str) -> frozenset[str]:
    """The addresses of a host.

    Raises:
        OSError: it isn't found.
    """
    return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM))


def connect(host: str, port: int = 443) -> None:
    """Opens a connection, and closes it again.

    Raises:
        OSError: the host doesn't accept it.
    """
    socket.create_connection((host, port), timeout=_SECONDS).close()


def public_address() -> str:
    """The address from which the internet sees this machine.

    AWS's own service answers (EC2 User Guide, "Security group rules for different use cases", read
    2026-11-27).

    Raises:
        OSError: it doesn't answer.
    """
    with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=_SECONDS) as answer:
        return str(answer.read(64), "ascii").strip()


def _answer(name: str, kind: int, server: tuple[str, int] | None) -> bytes:
    """The resolver's answer to a question about a name.

    Python's library can only look up addresses, so this asks by itself (RFC 1035, section 4).
    """
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    # One question, with recursion desired.
    question = (
        struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, _INTERNET)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_SECONDS)
        client.connect(server or _resolver())
        client.send(question)
        answer = client.recv(4096)
    if answer[:2] != question[:2]:
        raise OSError("the resolver answered another question")
    return answer


def _resolver() -> tuple[str, int]:
    for line in _RESOLVERS.read_text().splitlines():
        words = line.split()
        if words[:1] == ["nameserver"] and ":" not in words[1]:
            return words[1], 53
    raise OSError(f"{_RESOLVERS} names no resolver")


def _records(answer: bytes, wanted: int) -> list[tuple[int, int]]:
    """Where the data of the records of a type begins in an answer, and its length."""
    found: list[tuple[int, int]] = []
    _, position = _name(answer, 12)
    position += 4  # the question
    for _ in range(struct.unpack("!H", answer[6:8])[0]):
        _, position = _name(answer, position)
        kind, _, _, length = struct.unpack("!HHIH", answer[position : position + 10])
        position += 10
        if kind == wanted:
            found.append((position, length))
        position += length
    return found


def _name(answer: bytes, position: int) -> tuple[str, int]:
    """The name at a position, and the position after it. Names can end with a reference to another place."""
    parts: list[str] = []
    after = 0
    for _ in range(128):  # a loop of references would never end
        length = answer[position]
        if length == 0:
            return ".".join(parts).lower(), after or position + 1
        if length >= 0xC0:
            after = after or position + 2
            position = struct.unpack("!H", answer[position : position + 2])[0] & 0x3FFF
            continue
        parts.append(answer[position + 1 : position + 1 + length].decode("ascii", "replace"))
        position += 1 + length
    raise OSError("the resolver's answer has a loop")
