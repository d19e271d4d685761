"""Errors for clients, as problem details for HTTP APIs (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldError:
    """The problem with one field of an order."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 (an answer to the client, rather than a failure of the function)
    """Ends a request with a problem body.

    Attributes:
        status: the HTTP status.
        kind: last part of the problem's `type`. It is stable, so clients can depend on it.
        retry_after: seconds after which the same request can succeed.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON body, with media type `application/problem+json`."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "requestId": request_id,
        }
        if self.errors:
            body["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return body


def overloaded(detail: str, retry_after: int = 1) -> Problem:
    """The problem for an order that was certainly not accepted, so clients can send it again."""
    return Problem(503, "overloaded", "Service overloaded", detail, retry_after=retry_after)
