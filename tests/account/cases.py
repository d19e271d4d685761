"""Cases of checks that ask AWS. Their responses are validated against botocore's service models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.stub import Stubber

from account.question import Answer, Question

Json = Mapping[str, Any]
Response = Json | str
"""A response, or the code of an error."""


@dataclass(frozen=True)
class Case:
    """A check, and the responses to its operations that pass and fail."""

    ask: Callable[..., Answer]
    service: str
    arguments: Sequence[Any]
    operations: Sequence[str]
    """As botocore names them, in the order of the calls."""
    passing: Sequence[Response]
    failing: Sequence[Response]
    found: str
    """Part of what the failing answer found."""
    remedy: str = ""
    """Part of what the failing answer advises."""
    unsure: bool = False
    """Whether a negative response leaves the answer unknown."""


BOTO: Any = boto3


def new_client(service: str) -> Any:
    return BOTO.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def ask(case: Case, responses: Sequence[Response], deployed: bool = False) -> Answer:
    client = new_client(case.service)
    question = Question(
        check="check",
        needs="something",
        service=case.service,
        region="us-east-1",
        operations=tuple(client.meta.method_to_api_mapping[name] for name in case.operations),
        ask=lambda client: case.ask(client, *case.arguments),
        deployed=deployed,
    )
    with Stubber(client) as stub:
        for operation, response in zip(case.operations, responses, strict=False):
            if isinstance(response, str):
                stub.add_client_error(operation, response)
            else:
                stub.add_response(operation, copy.deepcopy(dict(response)))  # botocore decodes policies in it
        return question.answer(client)


def sent(client: Any, operation: str, response: Json) -> tuple[Any, dict[str, Any]]:
    """What a handler of `before-call` returns in place of a response over HTTP. It is validated first.

    Args:
        client: the client.
        operation: the operation, as the API names it.
        response: the response.
    """
    name = next(key for key, value in client.meta.method_to_api_mapping.items() if value == operation)
    Stubber(client).add_response(name, dict(response))
    return type("Http", (), {"status_code": 200})(), {**response, "ResponseMetadata": {}}
