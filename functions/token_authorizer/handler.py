"""The Lambda authorizer of the API (type TOKEN) where tokens come from an outside issuer."""

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
    """API Gateway answers 401 to an authorizer that fails with this very text, and 500 to any other."""

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class TokenAuthorizer:
    """Turns a token into the policy of what it opens.

    API Gateway keeps a policy under its token and applies it to every route. So the policy does not depend
    on the route that is asked for: it names all that the token's scopes open, and the rest is closed.
    """

    def __init__(
        self,
        keys: Keys,
        rules: Rules,
        routes: Mapping[str, Sequence[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`routes`: scope → what it opens, such as `POST/api/orders`."""
        self._keys = keys
        self._rules = rules
        self._routes = routes
        self._now = now

    def authorize(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one authorizer event.

        Raises:
            UnauthorizedError: the token is not one that the issuer gave out for this API, and now.
            KeysUnavailableError: nobody can tell, for want of the issuer's keys.
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
            "Resource": opened or [f"{stage}/*"],  # a statement cannot name nothing
        }
        return {
            "principalId": caller.subject,
            "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "context": {"scope": " ".join(scopes)},
        }


def _bearer_token(header: str) -> str:
    match = re.fullmatch(r"[Bb]earer +(\S+)", header)
    if not match:
        raise InvalidTokenError("is no bearer token")
    return match[1]


@functools.cache
def _authorizer() -> TokenAuthorizer:
    # Once per execution environment: the keys outlive the invocation.
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
