"""The token authorizer with real signatures and an issuer's real HTTP server on loopback."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from functions.token_authorizer import handler as function
from functions.token_authorizer import key_set
from functions.token_authorizer.handler import TokenAuthorizer, UnauthorizedError
from functions.token_authorizer.key_set import KeySet, KeysUnavailableError
from functions.token_authorizer.rs256 import PublicKey, verify
from functions.token_authorizer.token import CLOCK_SKEW_SECONDS, Rules
from tests.functions.issuer_stub import IssuerStub, SigningKey, encoded, number, part

AUDIENCE = "https://trade.example.com/api"
STAGE = "arn:aws:execute-api:us-east-1:123456789012:a1b2c3d4e5/live"
ROUTES = {
    "trading/orders": ["POST/api/orders"],
    "trading/accounts": ["GET/api/accounts", "GET/api/accounts/*", "POST/api/accounts/*"],
}


@functools.cache
def key(name: str = "first", bits: int = 2048) -> SigningKey:
    return SigningKey(name, bits)


@dataclass
class World:
    """An issuer with one key, an authorizer, and a clock that a test can move."""

    issuer: IssuerStub
    now: float = 1_800_000_000
    scope_claim: str = "scope"
    jwks_url: str = ""
    authorizer: TokenAuthorizer = field(init=False)

    def __post_init__(self) -> None:
        self.authorizer = self.environment()

    def environment(self) -> TokenAuthorizer:
        """A new execution environment, which has no keys yet."""
        keys = KeySet(self.issuer.url, self.jwks_url, lambda: self.now)
        rules = Rules(issuer=self.issuer.url, audience=AUDIENCE, scope_claim=self.scope_claim)
        return TokenAuthorizer(keys, rules, ROUTES, lambda: self.now)

    def claims(self, **change: object) -> dict[str, object]:
        """Valid claims with these changes; None omits a claim."""
        right: dict[str, object] = {
            "iss": self.issuer.url,
            "aud": AUDIENCE,
            "sub": "user-1",
            "exp": self.now + 900,
            "scope": "openid trading/orders",
        }
        return {name: value for name, value in {**right, **change}.items() if value is not None}

    def authorize(self, token: str, path: str = "POST/api/orders") -> dict[str, Any]:
        event = {"type": "TOKEN", "authorizationToken": f"Bearer {token}", "methodArn": f"{STAGE}/{path}"}
        return self.authorizer.authorize(event)

    def refuses(self, token: str, caplog: pytest.LogCaptureFixture, why: str) -> bool:
        """Whether the answer is 401, for exactly this reason."""
        caplog.clear()
        caplog.set_level("INFO", "token_authorizer")
        with pytest.raises(UnauthorizedError, match=r"\AUnauthorized\Z"):
            self.authorize(token)
        (record,) = caplog.records
        return why in record.__dict__["why"]


@pytest.fixture
def world() -> Iterator[World]:
    issuer = IssuerStub([key().jwk()])
    yield World(issuer)
    issuer.stop()


def opens(policy: dict[str, Any], path: str) -> bool:
    """Whether API Gateway would allow a request: `*` stands for any characters, including `/`."""
    statements = policy["policyDocument"]["Statement"]
    hit = {
        statement["Effect"]
        for statement in statements
        if any(fnmatch.fnmatchcase(f"{STAGE}/{path}", resource) for resource in statement["Resource"])
    }
    return hit == {"Allow"}


# What a token allows


def test_token_opens_the_routes_of_its_scopes_and_no_other(world: World) -> None:
    policy = world.authorize(key().token(world.claims()))
    assert policy["principalId"] == "user-1"
    assert policy["context"] == {"scope": "trading/orders"}
    assert opens(policy, "POST/api/orders")
    for path in (
        "GET/api/accounts",
        "GET/api/accounts/1",
        "GET/api/orders",
        "POST/api/orders/1",
        "GET/healthz",
    ):
        assert not opens(policy, path), path


def test_policy_is_the_same_whatever_route_is_asked_for(world: World) -> None:
    """API Gateway caches the policy by token, and also applies it to the next route."""
    token = key().token(world.claims(scope="trading/orders trading/accounts"))
    first = world.authorize(token, "GET/api/accounts/7")
    assert first == world.authorize(token, "POST/api/orders")
    assert opens(first, "POST/api/orders")
    assert opens(first, "GET/api/accounts/7")


def test_methods_of_a_policy_cannot_reach_into_another_services_path(world: World) -> None:
    policy = world.authorize(key().token(world.claims(scope="trading/accounts")))
    assert opens(policy, "GET/api/accounts/1")
    assert not opens(policy, "GET/api/market-data/api/accounts/1")
    assert not opens(policy, "DELETE/api/accounts/1")


@pytest.mark.parametrize(
    "scope", ["openid email", "", "trading/ORDERS", "orders", "trading/orders,x", None, 7]
)
def test_token_without_a_scope_of_ours_opens_nothing(world: World, scope: object) -> None:
    policy = world.authorize(key().token(world.claims(scope=scope)))
    (statement,) = policy["policyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Resource"] == [f"{STAGE}/*"]


@pytest.mark.parametrize("value", ["trading/orders other", ["trading/orders", "other", 7]])
def test_scopes_are_a_text_or_a_list_in_the_claim_of_the_settings(world: World, value: object) -> None:
    world.scope_claim = "scp"
    world.authorizer = world.environment()
    assert opens(world.authorize(key().token(world.claims(scope=None, scp=value))), "POST/api/orders")
    assert not opens(world.authorize(key().token(world.claims())), "POST/api/orders")


def test_audience_may_be_one_of_several(world: World) -> None:
    assert opens(world.authorize(key().token(world.claims(aud=["other", AUDIENCE]))), "POST/api/orders")


@pytest.mark.parametrize("bits", [3072, 4096])
def test_longer_keys_are_verified(world: World, bits: int) -> None:
    signer = key(f"of-{bits}", bits)
    world.issuer.keys = [signer.jwk()]
    assert opens(world.authorize(signer.token(world.claims())), "POST/api/orders")


# What a token must contain


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": "https://elsewhere.example.com"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "https://elsewhere.example.com"}, "another audience"),
        ({"aud": ["a", "b"]}, "another audience"),
        ({"aud": f"{AUDIENCE}/x"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"exp": None}, "no valid exp"),
        ({"exp": "2099"}, "no valid exp"),
        ({"exp": True}, "no valid exp"),
        ({"exp": float("nan")}, "no valid exp"),
        ({"exp": float("inf")}, "no valid exp"),
        ({"nbf": "yesterday"}, "no valid nbf"),
        ({"sub": None}, "no valid subject"),
        ({"sub": ""}, "no valid subject"),
        ({"sub": 'a", "status": "200'}, "no valid subject"),
        ({"sub": "a\r\nX-Caller-Subject: b"}, "no valid subject"),
        ({"sub": "a" * 256}, "no valid subject"),
    ],
)
def test_wrong_claim_is_refused(
    world: World, caplog: pytest.LogCaptureFixture, change: dict[str, object], why: str
) -> None:
    assert world.refuses(key().token(world.claims(**change)), caplog, why)


def test_token_is_good_until_it_expires_give_or_take_the_clocks(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    token = key().token(world.claims(exp=world.now + 60, nbf=world.now))
    world.now += 60 + CLOCK_SKEW_SECONDS - 1
    world.authorize(token)
    world.now += 1
    assert world.refuses(token, caplog, "has expired")


def test_token_is_not_good_before_its_time_give_or_take_the_clocks(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    token = key().token(world.claims(nbf=world.now + CLOCK_SKEW_SECONDS + 1))
    assert world.refuses(token, caplog, "not valid yet")
    world.now += 1
    world.authorize(token)


# Signatures


def signed(world: World, header: dict[str, object], signature: bytes) -> str:
    return f"{part(header)}.{part(world.claims())}.{encoded(signature)}"


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "", None, "HS256", "RS512", "PS256", "ES256", ["RS256"]]
)
def test_no_other_algorithm_is_accepted(world: World, caplog: pytest.LogCaptureFixture, alg: object) -> None:
    """The signature would be valid if the algorithm were RS256."""
    assert world.refuses(key().token(world.claims(), alg=alg), caplog, "not signed with RS256")


def test_unsigned_token_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    header: dict[str, object] = {"alg": "none", "kid": "first"}
    assert world.refuses(f"{part(header)}.{part(world.claims())}.", caplog, "not signed with RS256")
    header["alg"] = "RS256"
    assert world.refuses(f"{part(header)}.{part(world.claims())}.", caplog, "not base64url")


def test_public_key_is_no_hmac_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    secret = number(key().numbers.n).encode()
    for alg in ("HS256", "RS256"):
        message = f"{part({'alg': alg, 'kid': 'first'})}.{part(world.claims())}"
        token = f"{message}.{encoded(hmac.digest(secret, message.encode(), 'sha256'))}"
        assert world.refuses(token, caplog, "RS256" if alg == "HS256" else "wrong signature")


def test_elliptic_curve_signature_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    message = f"{part({'alg': 'RS256', 'kid': 'first'})}.{part(world.claims())}"
    signature = ec.generate_private_key(ec.SECP256R1()).sign(message.encode(), ec.ECDSA(hashes.SHA256()))
    assert world.refuses(f"{message}.{encoded(signature)}", caplog, "wrong signature")


def test_changed_payload_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    header, _, signature = key().token(world.claims()).split(".")
    forged = part(world.claims(scope="trading/accounts"))
    assert world.refuses(f"{header}.{forged}.{signature}", caplog, "wrong signature")


def test_signature_of_another_key_is_refused(world: World, caplog: pytest.LogCaptureFixture) -> None:
    token = SigningKey("first").token(world.claims())
    assert world.refuses(token, caplog, "wrong signature")


@pytest.mark.parametrize("header", [{"crit": ["b64"], "b64": False}, {"crit": []}])
def test_extension_that_is_not_known_is_refused(
    world: World, caplog: pytest.LogCaptureFixture, header: dict[str, object]
) -> None:
    assert world.refuses(key().token(world.claims(), **header), caplog, "extension")


@pytest.mark.parametrize("kid", [None, 7, ["first"]])
def test_token_names_its_key(world: World, caplog: pytest.LogCaptureFixture, kid: object) -> None:
    assert world.refuses(key().token(world.claims(), kid=kid), caplog, "does not name a key")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "not a bearer token"),
        ("a.b", "not a signed"),
        ("a.b.c.d.e", "not a signed"),
        ("!.b.c", "not base64url"),
        ("a.b.c", "not base64url"),
        (f"{encoded(b'no json')}.b.c", "not JSON"),
        (f"{encoded(b'[]')}.b.c", "not a JSON object"),
        (f"{encoded(b'[' * 5000)}.b.c", "not JSON"),
        (f"{encoded(b'{' + b'1' * 5000 + b'}')}.b.c", "not JSON"),
        (encoded(b'{"alg": "none", "alg": "RS256"}') + ".b.c", "not JSON"),
        (f"{part({'alg': 'RS256'})}\n.b.c", "not a bearer token"),
    ],
)
def test_what_is_no_token_is_refused(
    world: World, caplog: pytest.LogCaptureFixture, token: str, why: str
) -> None:
    assert world.refuses(token, caplog, why)


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "bearerx a.b.c", "Bearer a.b.c d.e.f"])
def test_other_credentials_are_refused(world: World, header: str) -> None:
    with pytest.raises(UnauthorizedError):
        world.authorizer.authorize({"authorizationToken": header, "methodArn": f"{STAGE}/GET/api/accounts"})


def power(content: bytes) -> bytes:
    """A value that decrypts to `content` with the public key; only the issuer can create it."""
    numbers = key().private.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(content, "big"), numbers.d, n).to_bytes(256, "big")


INFO = bytes.fromhex("3031300d060960864801650304020105000420")
DIGEST = hashlib.sha256(b"message").digest()
RIGHT = b"\0\1" + b"\xff" * 202 + b"\0" + INFO + DIGEST


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(
            b"\0\1" + b"\xff" * 8 + b"\0" + INFO + DIGEST + b"x" * 194, id="rubbish-after-the-digest"
        ),
        pytest.param(
            b"\0\1" + b"\xff" * 8 + b"\0" + INFO + DIGEST + b"\0" * 194, id="zeros-after-the-digest"
        ),
        pytest.param(
            b"\0\1" + b"\xff" * 100 + b"\xfe" + b"\xff" * 101 + b"\0" + INFO + DIGEST, id="padding-bit"
        ),
        pytest.param(b"\0\2" + b"\xff" * 202 + b"\0" + INFO + DIGEST, id="block-type-of-encryption"),
        pytest.param(b"\0\0" + b"\xff" * 202 + b"\0" + INFO + DIGEST, id="block-type-zero"),
        pytest.param(b"\0\1" + b"\xff" * 203 + INFO + DIGEST, id="no-separator"),
        pytest.param(
            b"\0\1"
            + b"\xff" * 204
            + b"\0"
            + bytes.fromhex("302f300b0609608648016503040201")
            + b"\x04\x20"
            + DIGEST,
            id="digest-info-without-null",
        ),
        pytest.param(b"\0\1" + b"\xff" * 221 + b"\0" + DIGEST, id="digest-alone"),
        pytest.param(RIGHT[:-1] + bytes([RIGHT[-1] ^ 1]), id="another-digest"),
    ],
)
def test_wrong_padding_is_no_signature(block: bytes) -> None:
    assert len(block) == 256
    public = PublicKey(key().numbers.n, key().numbers.e)
    assert verify(public, b"message", power(RIGHT))
    assert not verify(public, b"message", power(block))


def test_signature_has_one_form_only() -> None:
    public = PublicKey(key().numbers.n, key().numbers.e)
    right = key().signature(b"message")
    assert verify(public, b"message", right)
    larger = (int.from_bytes(right, "big") + key().numbers.n).to_bytes(257, "big")
    for wrong in (
        b"\0" + right,
        right + b"\0",
        right[1:],
        larger,
        larger[1:],
        b"",
        b"\0" * 256,
        b"\xff" * 256,
    ):
        assert not verify(public, b"message", wrong)
    assert not verify(public, b"massage", right)


def test_signature_is_below_the_modulus() -> None:
    """A second signature of the same message: it has the same power and as many bytes."""
    public = PublicKey(key().numbers.n, key().numbers.e)
    messages = (str(number).encode() for number in range(1000))
    twins = ((m, int.from_bytes(key().signature(m), "big") + public.modulus) for m in messages)
    message, twin = next(pair for pair in twins if pair[1] < 2**2048)
    assert not verify(public, message, twin.to_bytes(256, "big"))


def test_signature_with_another_padding_or_digest_is_refused() -> None:
    public = PublicKey(key().numbers.n, key().numbers.e)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    for scheme, digest in ((pss, hashes.SHA256()), (padding.PKCS1v15(), hashes.SHA384())):
        assert not verify(public, b"message", key().private.sign(b"message", scheme, digest))


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (2**1024 - 1, 65537),
        (2**2047 - 1, 65537),
        (2**8192 - 1, 65537),
        (2**2048 - 2, 65537),
        (2**2048 - 1, 1),
        (2**2048 - 1, 3),
        (2**2048 - 1, 65538),
        (2**2048 - 1, 2**64 + 1),
    ],
)
def test_weak_and_costly_keys_are_refused(modulus: int, exponent: int) -> None:
    with pytest.raises(ValueError, match="not accepted"):
        PublicKey(modulus, exponent)


# The issuer's keys


def test_keys_are_discovered_once_and_kept(world: World) -> None:
    for _ in range(3):
        world.authorize(key().token(world.claims()))
    assert world.issuer.asked == ["/.well-known/openid-configuration", "/keys"]


def test_keys_are_fetched_from_the_settings_address_without_discovery(world: World) -> None:
    world.jwks_url = f"{world.issuer.url}/keys"
    world.authorizer = world.environment()
    world.authorize(key().token(world.claims()))
    assert world.issuer.asked == ["/keys"]


def test_rotated_key_opens_the_api_at_once(world: World) -> None:
    world.authorize(key().token(world.claims()))
    world.now += key_set.COOLDOWN_SECONDS
    world.issuer.keys.append(key("second").jwk())
    assert opens(world.authorize(key("second").token(world.claims())), "POST/api/orders")
    assert opens(world.authorize(key().token(world.claims())), "POST/api/orders")


def test_withdrawn_key_opens_nothing_after_an_hour(world: World, caplog: pytest.LogCaptureFixture) -> None:
    token = key().token(world.claims(exp=world.now + 86_400))
    world.authorize(token)
    world.issuer.keys = [key("second").jwk()]
    world.now += key_set.MAX_AGE_SECONDS - 1
    world.authorize(token)
    world.now += 1
    assert world.refuses(token, caplog, "a key that the issuer does not have")


def test_made_up_keys_do_not_become_requests_to_the_issuer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.authorize(key().token(world.claims()))
    asked = len(world.issuer.asked)
    for kid in range(20):
        assert world.refuses(key().token(world.claims(), kid=str(kid)), caplog, "does not have")
    assert len(world.issuer.asked) == asked


def test_issuers_short_outage_shuts_nobody_out(world: World) -> None:
    token = key().token(world.claims(exp=world.now + 86_400))
    world.authorize(token)
    world.issuer.stop()
    world.now += key_set.STALE_SECONDS - 1
    world.authorize(token)
    world.now += 1
    with pytest.raises(KeysUnavailableError, match="too long"):
        world.authorize(token)


def test_without_keys_nothing_is_judged_and_it_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a 500, not a 401, which would sign everybody out."""
    world.issuer.stop()
    for _ in range(2):  # the second time within the cooldown
        with pytest.raises(KeysUnavailableError):
            world.authorize(key().token(world.claims()))
    assert {record.message for record in caplog.records} == {"keys unavailable"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 500},
        {"status": 302, "location": "http://127.0.0.1:1/"},
        {"raw": b"no json"},
        {"raw": b"[]"},
        {"raw": b"[" * 100_000},
        {"discovery": {"issuer": "https://elsewhere.example.com"}},
        {"discovery": {"jwks_uri": "https://elsewhere.example.com/keys"}},
        {"discovery": {"jwks_uri": "file:///etc/passwd"}},
        {"discovery": {"jwks_uri": None}},
        {"keys": []},
    ],
)
def test_wrong_answer_of_the_issuer_leaves_us_without_keys(world: World, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(world.issuer, name, value)
    with pytest.raises(KeysUnavailableError):
        world.authorize(key().token(world.claims()))


def test_keys_come_by_the_issuers_own_scheme(world: World) -> None:
    world.issuer.discovery = {"jwks_uri": f"{world.issuer.url}/keys".replace("http", "ftp")}
    with pytest.raises(KeysUnavailableError, match="another scheme"):
        world.authorize(key().token(world.claims()))


def test_endless_key_set_is_not_read(world: World) -> None:
    world.jwks_url = f"{world.issuer.url}/keys"
    world.authorizer = world.environment()
    right = json.dumps({"keys": world.issuer.keys}).encode()
    world.issuer.raw = right + b" " * key_set.MAX_ANSWER_BYTES
    with pytest.raises(KeysUnavailableError, match="more than"):
        world.authorize(key().token(world.claims()))
    world.now += key_set.COOLDOWN_SECONDS
    world.issuer.raw = right
    world.authorize(key().token(world.claims()))


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "EC"},
        {"use": "enc"},
        {"alg": "RSA-OAEP"},
        {"alg": "RS512"},
        {"kid": None},
        {"n": "!"},
        {"n": None},
        {"e": "Aw"},
        {"n": number(2**1023 + 1)},
    ],
)
def test_key_that_is_not_for_rs256_is_passed_over(
    world: World, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    world.issuer.keys = ["none", key().jwk(**change), key("second").jwk()]  # pyright: ignore[reportAttributeAccessIssue]
    assert opens(world.authorize(key("second").token(world.claims())), "POST/api/orders")
    assert world.refuses(key().token(world.claims()), caplog, "does not have")


def test_key_that_names_no_use_and_no_algorithm_is_accepted(world: World) -> None:
    bare = {name: value for name, value in key().jwk().items() if name not in ("use", "alg")}
    world.issuer.keys = [bare]
    assert opens(world.authorize(key().token(world.claims())), "POST/api/orders")


def test_entry_point_is_configured_by_its_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ISSUER": world.issuer.url,
        "AUDIENCE": AUDIENCE,
        "SCOPE_CLAIM": "scope",
        "ROUTES": json.dumps(ROUTES),
    }.items():
        monkeypatch.setenv(name, value)
    function._authorizer.cache_clear()  # pyright: ignore[reportPrivateUsage] (a new execution environment)
    token = key().token(world.claims(exp=4_000_000_000))
    event = {"authorizationToken": f"Bearer {token}", "methodArn": f"{STAGE}/POST/api/orders"}
    assert opens(function.handler(event, None), "POST/api/orders")
    function._authorizer.cache_clear()  # pyright: ignore[reportPrivateUsage]
