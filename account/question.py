"""Questions to an account: what they need, what they find, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

Client = Any
"""A client of boto3, whose stubs are installed for one service only."""

Status = Literal["pass", "fail", "unknown"]

READS = ("Get", "List", "Describe", "Simulate")
"""Beginnings of the names of operations that change nothing."""

_FORBIDDEN = ("AccessDenied", "Unauthorized", "AuthorizationError", "NotAuthorized")
_PARALLEL = 16


class WritingError(Exception):
    """Raised if a question would call an operation that could change something."""


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

    def answer(self, client: Client) -> Answer:
        """Asks. An account that refuses the question, or can't be reached, leaves the answer unknown."""
        client.meta.events.register("before-call", self._only_named)
        try:
            return self.ask(client)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if any(word in code for word in _FORBIDDEN):
                operation = f"{self.service}:{error.operation_name}"
                return Answer(
                    "unknown", f"not allowed to call {operation}", f"allow {operation}, or check by hand"
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

        except (KeyError, IndexError, TypeError, ValueError) as error:
            # One answer in an unexpected form must not hide all others.
            return Answer(
                "unknown", f"{self.service} answered in an unexpected form: {error!r}", "check by hand"
            )

    def _only_named(self, model: Any, **_: object) -> None:
        if model.name not in self.operations or not model.name.startswith(READS):
            raise WritingError(f"{self.check} calls {self.service}:{model.name}, which it doesn't declare")


def answers(
    questions: Sequence[Question], client: Callable[[str, str], Client]
) -> list[tuple[Question, Answer]]:
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
