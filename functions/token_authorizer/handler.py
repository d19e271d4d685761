"""The API's Lambda authorizer (type TOKEN) for tokens of an external issuer."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .key_set import KeySet, KeysUnavailableError
from .token import Caller, InvalidTokenError, Keys, Rules, read_token

logger = logging.getLogger("token_authorizer")


class UnauthorizedError(Exception):
    """Raised to make API Gateway answer 401. It answers 500 if an authorizer fails with any other text."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class TokenAuthorizer:
    """Returns the policy for a token.

    API Gateway caches the policy of a token and applies it to every route. The policy therefore doesn't
    depend on the requested route: it allows all routes of the token's scopes, and nothing else.
    """

    def __init__(
        self,
        keys: Keys,
        rules: Rules,
        routes: Mapping[str, Sequence[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`routes` maps a scope to the routes that it allows, such as `POST/api/orders`."""
        self._keys = keys
        self._rules = rules
        self._routes = routes
        self._now = now

    def authorize(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the response to an authorizer event.

        Raises:
            UnauthorizedError: the token isn't a currently valid one of the issuer for this API.
            KeysUnavailableError: the token can't be verified, because the issuer's keys aren't available.
        """
        try:
            token = _bearer_token(str(event.get("authorizationToken", "")))
            caller = read_token(token, self._keys, self._rules, self._now())
        except InvalidTokenError as error:
            logger.info("refused", extra={"why": f"the token {error}"})
            raise UnauthorizedError from None
        except KeysUnavailableError as error:
            logger.error("keys unavailable", extra={"why": str(error)})  # noqa: TRY400 (known cause)
            raise
        return self._policy(caller, str(event["methodArn"]))

    def _policy(self, caller: Caller, method_arn: str) -> dict[str, Any]:
        # arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH
        stage = "/".join(method_arn.split("/")[:2])
        scopes = sorted(caller.scopes & self._routes.keys())
        opened = [f"{stage}/{route}" for scope in scopes for route in self._routes[scope]]
        statement = {
            "Effect": "Allow" if opened else "Deny",
            "Action": "execute-api:Invoke",
            "Resource": opened or [f"{stage}/*"],  # a statement must have a resource
        }
        return {
            "principalId": caller.subject,
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": {"scope": " ".join(scopes)},
        }


def _bearer_token(header: str) -> str:
    match = re.fullmatch(r"[Bb]earer +(\S+)", header)
    if not match:
        raise InvalidTokenError("is not a bearer token")
    return match[1]


@functools.cache
def _authorizer() -> TokenAuthorizer:
    # Cached for each execution environment, so that the keys are reused.
    return TokenAuthorizer(
        KeySet(os.environ["ISSUER"], os.environ.get("JWKS_URL", "")),
        Rules(
            issuer=os.environ["ISSUER"],
            audience=os.environ["AUDIENCE"],
            scope_claim=os.environ["SCOPE_CLAIM"],
        ),
        json.loads(os.environ["ROUTES"]),
    )


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Lambda's entry point."""
    return _authorizer().authorize(event)
