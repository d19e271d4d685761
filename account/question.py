"""Questions to an account: what they need, what they find, and what to do about it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from settings.aws_limits import EDGE_REGION

_T = TypeVar("_T")

Client = Any
"""A client of boto3, whose stubs are installed for one service only, or one of `account.verify.clients`."""

NewClient = Callable[[str, str], Client]
"""Makes a client from a service's name and a region."""

Status = Literal["pass", "fail", "unknown"]

READS = ("Get", "List", "Describe", "Simulate")
"""Beginnings of the names of operations that change nothing."""
SENDING = frozenset({"cloudwatch:SetAlarmState", "prometheus:CreateAlertManagerAlerts"})
"""Operations that only `verify --messages` calls. The first makes an alarm ring until CloudWatch evaluates
it, and the second creates an alert that ends by itself."""
EXCEPTIONS = SENDING | {"logs:FilterLogEvents", "prometheus:QueryMetrics"}
"""Operations that questions may call although their names don't begin like those that only read. The others
do only read."""

_FORBIDDEN = ("AccessDenied", "Unauthorized", "AuthorizationError", "NotAuthorized")
_ABSENT = ("NotFound", "NoSuch", "NonExistent")
_DEPLOY_AGAIN = "run `pulumi up --refresh`, which creates what is missing"
_PARALLEL = 16


class WritingError(Exception):
    """Raised if a question would call an operation that could change something."""


class UnansweredError(Exception):
    """Raised by a client that isn't one of boto3 if it gets no answer."""

    def __init__(self, found: str, remedy: str = "check by hand") -> None:
        """Says what happened, and what to do about it."""
        super().__init__(found)
        self.answer = Answer("unknown", found, remedy)


def no_clients(service: str, region: str) -> Client:
    """Takes the place of `NewClient` for questions that nobody asks."""


@dataclass(frozen=True)
class Answer:
    """What a question found."""

    status: Status
    found: str
    remedy: str = ""
    """What to do, or an empty string if nothing is."""


@dataclass(frozen=True)
class Question:
    """One question to one service in one region."""

    check: str
    """Its name, and the region if it is asked in each."""
    needs: str
    """What a deployment takes for granted."""
    service: str
    """Name of the service in boto3."""
    region: str
    operations: tuple[str, ...]
    """The operations of the service's API that it calls."""
    ask: Callable[[Client], Answer]
    also: tuple[str, ...] = ()
    """What it asks others than the service, such as `HTTPS POST /oauth2/token`."""
    deployed: bool = False
    """Whether it is about resources of a deployed stack, which must exist."""
    others: tuple[Client, ...] = ()
    """The clients of other services that it asks."""

    def answer(self, client: Client) -> Answer:
        """Asks. An account that refuses the question, or can't be reached, leaves the answer unknown."""
        if hasattr(client, "meta"):
            client.meta.events.register("before-call", self._only_named)
        for other in self.others:
            service = other.meta.service_model.service_name
            other.meta.events.register("before-call", functools.partial(self._only_also, service))
        try:
            return self.ask(client)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if any(word in code for word in _FORBIDDEN):
                operation = self._action(error.operation_name)
                return Answer(
                    "unknown", f"not allowed to call {operation}", f"allow {operation}, or check by hand"
                )
            if self.deployed and any(word in code for word in _ABSENT):
                return Answer(
                    "fail", f"{self.service} doesn't know a resource of the stack: {error}", _DEPLOY_AGAIN
                )
            return Answer(
                "unknown", f"{self.service} answered {code}: {error}", "try again, or check by hand"
            )
        except NoCredentialsError:
            return Answer("unknown", "no AWS credentials", "sign in, or set AWS_PROFILE")
        except BotoCoreError as error:
            return Answer(
                "unknown", f"{self.service} can't be reached: {error}", "check the network and region"
            )
        except UnansweredError as error:
            return error.answer
        except OSError as error:
            return Answer("unknown", f"{self.service} doesn't answer: {error}", "check the network")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            # One answer in an unexpected form must not hide all others.
            return Answer(
                "unknown", f"{self.service} answered in an unexpected form: {error!r}", "check by hand"
            )

    def _action(self, operation: str) -> str:
        """The IAM action of an operation, also of another service that the question asks."""
        if operation in self.operations:
            return _action_of(self.service, operation)
        known = (action for action in self.also if action.endswith(f":{operation}"))
        return next(known, _action_of(self.service, operation))

    def _only_named(self, model: Any, **_: object) -> None:
        harmless = model.name.startswith(READS) or f"{self.service}:{model.name}" in EXCEPTIONS
        if model.name not in self.operations or not harmless:
            raise WritingError(f"{self.check} calls {self.service}:{model.name}, which it doesn't declare")

    def _only_also(self, service: str, model: Any, **_: object) -> None:
        action = _action_of(service, model.name)
        if action not in self.also or not model.name.startswith(READS):
            raise WritingError(f"{self.check} calls {action}, which it doesn't declare")


def ask(
    check: str,
    needs: str,
    service: str,
    operations: str | tuple[str, ...],
    function: Callable[..., Answer],
    *arguments: object,
    region: str = EDGE_REGION,
    named: bool = False,
    also: tuple[str, ...] = (),
) -> Question:
    """A question. The name of one that is asked in each region ends in the region."""
    return Question(
        check=f"{check} {region}" if named else check,
        needs=needs,
        service=service,
        region=region,
        operations=(operations,) if isinstance(operations, str) else operations,
        ask=lambda client: function(client, *arguments),
        also=also,
        others=tuple(_clients(arguments)),
    )


def unasked(check: str, needs: str, found: str, remedy: str) -> Question:
    """A question that can't be asked. Its answer is unknown, so that nobody takes its absence for a pass.

    Args:
        check: its name.
        needs: what a deployment takes for granted.
        found: why it can't be asked.
        remedy: what to set, or what to do instead.
    """
    return ask(check, needs, "none", (), _unknown, found, remedy)


def _unknown(_: Client, found: str, remedy: str) -> Answer:
    return Answer("unknown", found, remedy)


def _clients(arguments: Iterable[object]) -> Iterator[Client]:
    """The clients of boto3 among a check's arguments, also in mappings."""
    for item in arguments:
        if isinstance(item, Mapping):
            yield from _clients(cast("Mapping[str, object]", item).values())
        elif hasattr(item, "meta"):
            yield item


def passed(found: str) -> Answer:
    """The answer of a check that finds no problem."""
    return Answer("pass", found)


def judged(problems: Collection[str], found: str, remedy: str) -> Answer:
    """A fail if there are problems, or else a pass."""
    return Answer("fail", "; ".join(problems), remedy) if problems else passed(found)


def pages(client: Client, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    """The items of all pages of an operation's response."""
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, ())


def unless(code: str, call: Callable[[], _T]) -> _T | None:
    """The response to a call; None if AWS refuses it with this code, such as that of what doesn't exist."""
    try:
        return call()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == code:
            return None
        raise


def taken(name: str, owner: str | None) -> str:
    """The problem that something has the name, and the platform to which its tag says that it belongs."""
    return f"{name} exists, and belongs to {owner or 'nobody'}"


def some(names: Sequence[str], count: int) -> str:
    """The first names of a list, and how many others there are."""
    more = f" and {len(names) - count} others" if len(names) > count else ""
    return ", ".join(names[:count]) + more


OTHERS = {"https": "HTTPS", "dns": "DNS", "kubernetes": "Kubernetes", "pulumi": "pulumi", "none": ""}
"""Services that aren't AWS's → what they are called."""
_PREFIXES = {
    "amp": "aps",
    "apigatewayv2": "apigateway",
    "elbv2": "elasticloadbalancing",
    "prometheus": "aps",
    "service-quotas": "servicequotas",
}
"""Service → prefix of its IAM actions, where they differ."""
_ACTIONS = {
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
}
"""Operation → its IAM action, where they differ (Service Authorization Reference, "Actions, resources, and
condition keys for Amazon S3" and "for AWS Budget Service", read 2026-11-27)."""


def _action_of(service: str, operation: str) -> str:
    """The IAM action of an operation."""
    name = f"{_PREFIXES.get(service, service)}:{operation}"
    return _ACTIONS.get(name, name)


def actions(questions: Iterable[Question]) -> set[str]:
    """The IAM actions that questions need."""
    # API Gateway's actions are HTTP methods.
    return {
        "apigateway:GET" if name.startswith("apigateway:") else name
        for item in questions
        for name in asked(item)
        if re.fullmatch(r"[a-z0-9-]+:\w+", name)
    }


def asked(question: Question) -> list[str]:
    """What a question asks, for people: operations of AWS's APIs with the prefix of their IAM actions, and
    what it asks others."""
    if question.service in OTHERS:
        own = [f"{OTHERS[question.service]} {name}" for name in question.operations]
    else:
        own = [_action_of(question.service, name) for name in question.operations]
    return [*own, *question.also]


def answers(questions: Sequence[Question], client: NewClient) -> list[tuple[Question, Answer]]:
    """Asks all questions in parallel, and returns the answers in the order of the questions.

    Args:
        questions: what to ask.
        client: a new client of a service in a region.
    """
    clients = [client(question.service, question.region) for question in questions]  # boto3 isn't thread-safe
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(zip(questions, pool.map(Question.answer, questions, clients), strict=True))


def as_json(found: Iterable[tuple[Question, Answer]]) -> list[dict[str, str]]:
    """The answers for programs."""
    return [
        {"check": question.check, "status": answer.status, "found": answer.found, "remedy": answer.remedy}
        for question, answer in found
    ]


def table(found: Sequence[tuple[Question, Answer]]) -> list[str]:
    """The answers for people: a line for each question, and what to do about those without a pass."""
    width = max((len(question.check) for question, _ in found), default=0)
    lines: list[str] = []
    for question, answer in found:
        lines.append(f"{answer.status:<8} {question.check:<{width}}  {answer.found}")
        if answer.status != "pass":
            lines.append(f"{'':<8} {'':<{width}}  needs: {question.needs}")
            lines.append(f"{'':<8} {'':<{width}}  do: {answer.remedy}")
    counts = {
        status: sum(answer.status == status for _, answer in found) for status in ("pass", "fail", "unknown")
    }
    return [*lines, ", ".join(f"{count} {status}" for status, count in counts.items())]


def exit_status(found: Iterable[tuple[Question, Answer]]) -> int:
    """0 if every question has a pass, 1 if one has a fail, and 3 if the worst answer is unknown."""
    statuses = {answer.status for _, answer in found}
    return 1 if "fail" in statuses else 3 if "unknown" in statuses else 0
