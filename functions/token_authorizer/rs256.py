"""Verifies RS256 signatures: RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2.2).

Lambda's Python has no cryptographic library, and a package with a compiled one would differ between machines.
Verification only needs one modular exponentiation. The expected encoded message is built and compared as a
whole, and never parsed, because lenient parsers of the padding made forged signatures possible.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

MODULUS_BITS = (2048, 4096)
"""Shorter keys are not allowed (RFC 7518, section 3.3). Longer ones are not in use and would cost time."""
EXPONENTS = (65537, 2**32 - 1)
"""The minimum that FIPS 186 allows, and a maximum that keeps the exponentiation fast."""
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""The prefix of a SHA-256 digest (RFC 8017, section 9.2)."""


@dataclass(frozen=True)
class PublicKey:
    """An RSA public key.

    Raises:
        ValueError: the key isn't safe for RS256.
    """

    modulus: int
    exponent: int

    def __post_init__(self) -> None:
        bits = self.modulus.bit_length()
        if not MODULUS_BITS[0] <= bits <= MODULUS_BITS[1] or self.modulus % 2 == 0:
            raise ValueError(f"a modulus of {bits} bits is not accepted")
        if not EXPONENTS[0] <= self.exponent <= EXPONENTS[1] or self.exponent % 2 == 0:
            raise ValueError("the exponent is not accepted")


def verify(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the holder of the private key signed `message`."""
    size = (key.modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= key.modulus:
        return False
    ending = b"\x00" + _DIGEST_INFO + hashlib.sha256(message).digest()
    expected = b"\x00\x01" + b"\xff" * (size - 2 - len(ending)) + ending
    return hmac.compare_digest(pow(number, key.exponent, key.modulus).to_bytes(size, "big"), expected)
