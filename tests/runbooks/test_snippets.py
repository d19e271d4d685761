"""All commands of the pages run on an account with two stacks, in every region, and reach only one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest

from account.question import READS
from tests.runbooks.account import OTHER, PAGE
from tests.runbooks.kubectl import Request, allows, requests, rules
from tests.runbooks.page import FUNCTIONS, PAGES, Section, sections
from tests.runbooks.runs import REGIONS, VALUES, results
from tests.runbooks.shell import Call, Result
from tests.runbooks.unsupported import ANSWERS

ELSEWHERE = ("From nothing to `pulumi up --stack dev`",)
"""Sections that `tests/engine/test_bootstrap.py` follows."""
RUNS = [
    pytest.param(section, region, id=f"{section.title}-{region}")
    for page in PAGES
    for section in sections(page)
    if section.title not in ELSEWHERE
    for region in REGIONS
]
READING = (*READS, "BatchGet", "StartQuery", "Receive")
"""Beginnings of the names of operations that change nothing."""
READING_FUNCTIONS = {"StartQuery"}


def ran(section: Section, region: str) -> tuple[Result, Result]:
    """The section's results: with placeholders replaced, and without."""
    found = results().get((section.page, section.title, region))
    if found is None:
        pytest.skip("in this region of the fixture stack, no alarm leads here")
    return found


def writes(section: Section, region: str) -> list[Call]:
    return [call for call in ran(section, region)[0].calls if not call.operation.startswith(READING)]


@pytest.mark.parametrize(("section", "region"), RUNS)
def test_commands_succeed(section: Section, region: str) -> None:
    result, _ = ran(section, region)
    assert result.failed == []
    assert result.errors == ""


@pytest.mark.parametrize(("section", "region"), RUNS)
def test_commands_find_this_stack_only(section: Section, region: str) -> None:
    """In particular, each alarm's *Look* queries the log groups of this stack only."""
    result, _ = ran(section, region)
    assert [line for line in result.output.splitlines() if "decoy" in line] == []
    # Tags say whose something is, and a marker says where the next page of a list begins.
    aimed = [
        {key: value for key, value in call.parameters.items() if key not in ("Marker", "NextToken")}
        for call in result.calls
        if call.operation not in ("ListRoleTags", "ListTagsForResource")
    ]
    assert [it for it in aimed if "decoy" in str(it) or OTHER in str(it)] == []
    assert [call for call in result.calls if "None" in str(call.parameters).split("'")] == []


@pytest.mark.parametrize(("section", "region"), RUNS)
def test_command_with_a_placeholder_that_is_not_replaced_is_refused(section: Section, region: str) -> None:
    _, empty = ran(section, region)
    for snippet in section.snippets:
        for line in re.sub(r"\\\n\s*", " ", snippet).splitlines():
            if ":?}" in line:
                words = re.findall(
                    r"^\W*(?:\w+=\S+ )?(aws [\w-]+ [\w-]+|kubectl|sql|logs|pulumi)", line.strip()
                )
                names = [" ".join(command[:3]) for command in empty.commands]
                assert not set(words) & set(names), line


@pytest.mark.parametrize(("section", "region"), RUNS)
def test_writing_command_names_only_what_was_looked_up_or_chosen(section: Section, region: str) -> None:
    """A broker, a zone, a version or an id that is written into a command is pasted for another one."""
    code = re.sub(r"\$\{[A-Z_]+:\?\}", "", section.code)
    for call in writes(section, region):
        for value in _values(call.parameters):
            literal = re.search(r"\d", value) and re.search(rf"(?<![\w$-]){re.escape(value)}(?![\w-])", code)
            allowed = value in ("4h", "600") or value in VALUES.values()
            assert allowed or not literal, (call.operation, value)


def _values(parameters: object) -> Iterator[str]:
    if isinstance(parameters, dict):
        for value in parameters.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _values(value)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(parameters, list):
        for value in parameters:  # pyright: ignore[reportUnknownVariableType]
            yield from _values(value)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield str(parameters)


def test_placeholders_have_a_value_and_are_used() -> None:
    used = {
        name
        for page in PAGES
        for section in sections(page)
        for name in re.findall(r"\$\{([A-Z_]+):\?\}", section.code)
    }
    assert used == VALUES.keys()


GNU_ONLY = (
    *(r"\bdate (?:-u )?(?:-d|--)", r"\bsed -i\b", r"\bgrep -\w*P", r"\breadlink -f", r"\bzcat\b"),
    *(r"\bhead -n -", r"\bxargs -\w*[dr]", r"\bbase64 -w", r"\bmapfile\b", r"\bdeclare -A"),
    *(r"\$\{\w+(?:,,|\^\^)\}", r"&>>"),
)


def test_shell_code_runs_on_linux_and_on_macos() -> None:
    """Not on macOS: options of the GNU tools, and bash 4's syntax (macOS has 3.2)."""
    code = [FUNCTIONS.read_text(), *(section.code for page in PAGES for section in sections(page))]
    assert [(text, found) for text in code for found in GNU_ONLY if re.search(found, text)] == []


def test_answers_are_needed() -> None:
    """moto lacks these operations. They are all called, so the list has no leftovers."""
    called = {f"{call.service}:{call.operation}" for result, _ in results().values() for call in result.calls}
    assert ANSWERS.keys() - called == set()


def test_there_is_more_than_a_page_of_decoys() -> None:
    session: Any = botocore.session.get_session()
    limits = [
        session.get_service_model(service)
        .operation_model(operation)
        .input_shape.members[member]
        .metadata["max"]
        for service, operation, member in (
            ("secretsmanager", "ListSecrets", "MaxResults"),
            ("cloudwatch", "DescribeAlarms", "MaxRecords"),
        )
    ]
    assert max(limits) <= PAGE


def kubectl(section: Section, region: str) -> list[list[str]]:
    result, _ = ran(section, region)
    return [arguments for name, *arguments in result.commands if name == "kubectl"]


@pytest.mark.parametrize(("section", "region"), [run for run in RUNS if run.values[1] == REGIONS[0]])
def test_people_on_call_may_run_every_kubectl_command(section: Section, region: str) -> None:
    refused = [
        (arguments, request)
        for arguments in kubectl(section, region)
        for request in requests(arguments)
        if not any(allows(namespace, rule, request) for namespace, rule in rules())
    ]
    assert refused == []


def test_people_on_call_may_do_nothing_else() -> None:
    """Every verb of every rule is needed by a command on the pages."""
    needed = {
        request
        for result, _ in results().values()
        for name, *arguments in result.commands
        if name == "kubectl"
        for request in requests(arguments)
    }
    unused: list[tuple[str, str, str]] = []
    for namespace, rule in rules():
        for kind in rule.get("resources", rule.get("nonResourceURLs", ())):
            for verb in rule["verbs"]:
                narrow = {
                    **rule,
                    "verbs": [verb],
                    "resources" if "resources" in rule else "nonResourceURLs": [kind],
                }
                if not any(allows(namespace, narrow, request) for request in needed):
                    unused.append((namespace, kind, verb))
    # kubectl also needs `get` to delete, and `list` to describe by label.
    assert [item for item in unused if item[2] not in ("get", "list")] == []


def test_a_request_that_no_rule_names_is_refused() -> None:
    secrets = Request("get", "", "secrets", "origin", "trading")
    everything = Request("patch", "apps", "deployments", "coredns", "kube-system")
    assert not any(
        allows(namespace, rule, item) for namespace, rule in rules() for item in (secrets, everything)
    )
