"""Requests that pass every hop to a pod: with the account of the order canary, which is known as a test and
can't cause a trade, or with a token that the user has."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from account.question import Answer, Client, UnansweredError, judged, passed
from account.verify import edge
from account.verify.https import Https
from functions.order_canary.order_canary import DEADLINE_SECONDS, StepError, Target, Walk, walk

REFUSED = (401, 403)
ATTEMPTS = 9
PAUSE_SECONDS = 10
"""A pod's log lines take up to a minute to arrive."""


def order(secrets: Client, https: Https, target: Target, secret: str) -> Answer:
    """An order passes every hop to a pod, and its repetition gets the same answer.

    Args:
        secrets: the client.
        https: has the certificate authorities to trust.
        target: whom to ask, and for which account.
        secret: ARN of the secret of the user pool's client.
    """
    client_secret = _value(secrets, secret)
    try:
        # It prints a line for the canary's log, which must not end up in the answers.
        with contextlib.redirect_stdout(sys.stderr):
            durations = walk(target, lambda: client_secret, https.tls)
    except StepError as error:
        return Answer("fail", str(error), "see `order-canary` in docs/operations.md")
    return passed(
        f"an order is answered in {durations['order']} ms, and its repetition in {durations['replay']} ms"
    )


@dataclass(frozen=True)
class Tokens:
    """Gets tokens for the API's scopes with the canary's account."""

    secrets: Client
    https: Https
    target: Target
    secret: str

    def __call__(self, scope: str) -> str:
        """A token of a scope.

        Raises:
            UnansweredError: the user pool gives none.
        """
        target = dataclasses.replace(self.target, scope=scope)
        run = Walk(target, self.https.tls, time.monotonic() + DEADLINE_SECONDS)
        client_secret = _value(self.secrets, self.secret)
        try:
            return str(run.step("token", lambda: run.token(client_secret)))
        except StepError as error:
            raise UnansweredError(str(error), "see `order-canary` in docs/operations.md") from None


@dataclass(frozen=True)
class Given:
    """A token that the user has."""

    token: str

    def __call__(self, _: str) -> str:
        """The token, whatever the scope."""
        return self.token

    def scopes(self, claim: str) -> frozenset[str]:
        """The scopes that the token names. The API verifies it; this only reads it.

        Args:
            claim: the claim with the scopes.

        Raises:
            ValueError: it isn't a JSON Web Token.
        """
        found = re.fullmatch(r"[\w-]+\.([\w-]+)\.[\w-]+", self.token, re.ASCII)
        claims: object = json.loads(base64.urlsafe_b64decode(f"{found[1]}===")) if found else None
        if not isinstance(claims, dict):
            raise ValueError("it isn't a JSON Web Token")  # noqa: TRY004 - a value of the user's
        named = cast(dict[str, Any], claims).get(claim, "")
        return frozenset(named.split() if isinstance(named, str) else map(str, named))


NewToken = Callable[[str], str]
"""Scope → a token of that scope, such as `Tokens` and `Given`."""
Route = tuple[str, str]
"""A scope, and the path of a route."""


def scope(https: Https, host: str, tokens: NewToken, opened: Route, closed: Route) -> Answer:
    """A token opens a route of its scope, and no other one.

    The first shows that the token is valid: the API would refuse any other token as well. It must refuse the
    second route itself, because the web ACLs also answer 403.

    Args:
        https: sends the requests.
        host: the host.
        tokens: gets tokens.
        opened: a scope, and a route that it opens.
        closed: a scope, and a route that it doesn't open.
    """
    first = https.send(host, opened[1], _bearer(tokens(opened[0])))
    if first.status in REFUSED:
        return Answer(
            "unknown",
            f"{opened[1]} answers {first.status} to a token with {opened[0]}, which should open it",
            "see that the token hasn't expired, and that the API accepts its issuer",
        )
    second = https.send(host, closed[1], _bearer(tokens(closed[0])))
    text = f"{closed[1]} answers {second.status} to a token with {closed[0]}"
    problems = [] if second.status in REFUSED else [text]
    if not problems and not edge.denied(second):
        problems = [f"{text}, which isn't the API's own answer"]
    return judged(
        problems,
        f"{text}, and {opened[1]} answers {first.status} to one with {opened[0]}",
        "see that the method's scope is in the API: deploy again",
    )


def path(
    logs: Client,
    https: Https,
    host: str,
    tokens: NewToken,
    opened: Route,
    group: str,
    wait: Callable[[float], None] = time.sleep,
) -> Answer:
    """A service gets the path that the client sent, without the name of the API's stage.

    The path has a word that no other request has, and the service's log shows what arrived.

    Args:
        logs: the client of CloudWatch Logs.
        https: sends the request.
        host: the host.
        tokens: gets tokens.
        opened: a scope, and a route that it opens.
        group: log group of the pods.
        wait: waits for some seconds.
    """
    asked = f"{opened[1]}/verify-{uuid4().hex}"
    begin = int(datetime.now(UTC).timestamp() * 1000)
    status = https.send(host, asked, _bearer(tokens(opened[0]))).status
    remedy = "see `api-server-errors` in docs/operations.md, and what the service logs about its requests"
    if status in REFUSED or status >= 500:
        return Answer("fail", f"{asked} answers {status}", remedy)
    for _ in range(ATTEMPTS):
        found = logs.filter_log_events(
            logGroupName=group, startTime=begin, filterPattern=f'"{asked.rpartition("/")[2]}"', limit=10
        )["events"]
        if found:
            lines = [item["message"] for item in found]
            wrong = [line for line in lines if asked not in line or f"live{asked}" in line]
            return judged(
                [f"the service got another path: {wrong[0][:200]}"] if wrong else [],
                f"the service got {asked}",
                "see `requestTemplates` in `components/api/document.py`",
            )
        wait(PAUSE_SECONDS)
    return Answer("unknown", f"{asked} answers {status}, and no log line of the service has it", remedy)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _value(secrets: Client, secret: str) -> str:
    return str(secrets.get_secret_value(SecretId=secret)["SecretString"])
