"""Requests with the account of the order canary, which is known as a test: it can't cause a trade."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

from account.question import Answer, Client, judged, passed
from account.verify.https import Https
from functions.order_canary.order_canary import DEADLINE_SECONDS, StepError, Target, Walk, walk

REFUSED = (401, 403)
"""What API Gateway answers if a token lacks the method's scope: AWS's pages name both."""
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


def scope(secrets: Client, https: Https, target: Target, secret: str, path: str) -> Answer:
    """A token for orders doesn't open another service."""
    try:
        status = _ask(https, target, _value(secrets, secret), path)
    except StepError as error:
        return Answer("unknown", str(error), "see `order-canary` in docs/operations.md")
    return judged(
        [f"{path} answers {status} to a token with {target.scope}"] if status not in REFUSED else [],
        f"{path} answers {status} to a token with {target.scope}",
        "see that the method's scope is in the API: deploy again",
    )


def path(
    logs: Client,
    secrets: Client,
    https: Https,
    target: Target,
    secret: str,
    route: str,
    group: str,
    wait: Callable[[float], None] = time.sleep,
) -> Answer:
    """A service gets the path that the client sent, without the name of the API's stage.

    The path has a word that no other request has, and the service's log shows what arrived.

    Args:
        logs: the client of CloudWatch Logs.
        secrets: the client of Secrets Manager.
        https: sends the request.
        target: whom to ask; its scope is the service's.
        secret: ARN of the secret of the user pool's client.
        route: a route of the service.
        group: log group of the pods.
        wait: waits for some seconds.
    """
    asked = f"{route}/verify-{uuid4().hex}"
    begin = int(datetime.now(UTC).timestamp() * 1000)
    try:
        status = _ask(https, target, _value(secrets, secret), asked)
    except StepError as error:
        return Answer("unknown", str(error), "see `order-canary` in docs/operations.md")
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


def _ask(https: Https, target: Target, client_secret: str, path: str) -> int:
    """The status of the answer to a request with a token of the target's scope."""
    run = Walk(target, https.tls, time.monotonic() + DEADLINE_SECONDS)
    token = str(run.step("token", lambda: run.token(client_secret)))
    host = urlsplit(target.app_url).hostname or ""
    return https.send(host, path, {"Authorization": f"Bearer {token}"}).status


def _value(secrets: Client, secret: str) -> str:
    return str(secrets.get_secret_value(SecretId=secret)["SecretString"])


def with_scope(target: Target, name: str) -> Target:
    """The same target, for another scope."""
    return dataclasses.replace(target, scope=name)
