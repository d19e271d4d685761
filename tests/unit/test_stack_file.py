"""Stack files are read like the engine reads them. Also tests `python -m settings check` and `show`."""

from __future__ import annotations

import io
import json
import math
import re
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import Settings
from settings.__main__ import main
from settings.show import effective
from settings.stack_file import Secret, StackFileError, parse, read
from tests.unit.harness import ROOT, without_namespace

SMALL = (ROOT / "tests" / "stacks" / "small.yaml").read_text()
FILES = sorted((ROOT / "tests" / "stacks").glob("*.yaml"))


def value(text: str) -> Any:
    """The value of a key whose value is written as `text`."""
    return parse(f"config:\n  trading:key: {text}\n", "Pulumi.dev.yaml").config["trading:key"]


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("n", "n"),
        ("'true'", "true"),
        ("!!str true", "true"),
        ("12", 12),
        ("-12", -12),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 15),
        ("089", 89.0),
        ("1_000", 1000),
        ("'12'", "12"),
        ("!!float 12", 12.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("1:30", "1:30"),
        ("~", ""),
        ("", ""),
        ("{ a: null }", {"a": None}),
        ("3.9.x.kraft", "3.9.x.kraft"),
        ("v1:abc", "v1:abc"),
        ("[a, [1]]", ["a", [1]]),
        ("|\n    two\n    lines", "two\nlines\n"),
        ("{ secure: v1:abc }", Secret("[secret]")),
        ("{ secure: v1:abc, other: 1 }", {"secure": "v1:abc", "other": 1}),
        (
            "{ base: &b { a: 1, c: 2 }, more: { <<: *b, c: 3 } }",
            {"base": {"a": 1, "c": 2}, "more": {"a": 1, "c": 3}},
        ),
        (
            "{ base: &b { a: 1 }, more: { <<: [*b, { a: 2, d: 3 }] } }",
            {"base": {"a": 1}, "more": {"a": 1, "d": 3}},
        ),
    ],
)
def test_value_is_read_as_the_engine_reads_it(text: str, read_as: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (read_as, type(read_as))


def test_keys_are_the_engines() -> None:
    file = parse("config:\n  protect: true\n  trading:config:tags: {}\n  aws:region: x\n", "f")
    assert file.values() == {"protect": True, "tags": {}}
    assert file.config["aws:region"] == "x"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_fixture_reads_as_yaml(path: Path) -> None:
    """A fixture contains nothing that the engine and PyYAML read differently."""
    assert read(path).config == yaml.safe_load(path.read_text())["config"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_settings_that_are_shown_are_those_in_force(path: Path) -> None:
    values = read(path).values()
    assert effective(values) == Settings.parse(values).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"services": {"orders": {"alerts": None, "tables": None}, "risk": {"listenerPort": 8090}}},
        {"streaming": {"topics": {"market-data": {"cleanupPolicy": "compact", "retentionHours": None}}}},
        {"api": {"routes": {"/api/market-data": None, "/api/a": {"service": "orders"}}}},
        {"database": {"serverless": {"min": "0.5", "max": 4}}, "tags": {"owner": 1, "cost-center": "b"}},
        {"cache": '{"shards": 4}'},
    ],
)
def test_changes_are_shown_as_they_are_in_force(changes: dict[str, Any]) -> None:
    values = read(ROOT / "tests" / "stacks" / "full.yaml").values() | changes
    assert effective(values) == Settings.parse(values).model_dump(mode="json", by_alias=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a stack file, in which the commands find the program."""
    (tmp_path / "settings").symlink_to(ROOT / "settings")
    (tmp_path / "Pulumi.dev.yaml").write_text(SMALL)
    return tmp_path


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m settings` in the project's folder, within this process."""
    output, errors = io.StringIO(), io.StringIO()
    with chdir(project), redirect_stdout(output), redirect_stderr(errors):
        status = main(arguments)
    return subprocess.CompletedProcess(arguments, status, output.getvalue(), errors.getvalue())


def check(project: Path, text: str | bytes | None = None) -> list[str]:
    """The lines that the check prints about a file. All are on standard error, without a traceback."""
    if text is not None:
        (project / "Pulumi.dev.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = run(project, "check", "--stack", "dev")
    assert done.stdout == ""
    assert done.returncode == (2 if done.stderr else 0)
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


def test_nothing_is_said_of_a_file_that_is_right(project: Path) -> None:
    assert check(project) == []


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if part in line)


def test_every_problem_has_its_line(project: Path) -> None:
    text = (
        SMALL.replace("shards: 1", "shards: three")
        .replace("  trading:web:", "  tradng:web:")
        .replace("priceClass:", "priceclass:")
        .replace("cost-center: trading", "cost-center: 0042")
        .replace("    host: small.trade.example.com\n", "")
    )
    heading, *problems = check(project, text)
    assert heading == "error: Pulumi.dev.yaml has 4 problems:"
    assert [problem.split(": ")[:2] for problem in problems] == [
        [f"  Pulumi.dev.yaml:{line_of(text, 'cost-center')}", "trading:tags.cost-center"],
        [f"  Pulumi.dev.yaml:{line_of(text, 'trading:domain')}", "trading:domain.host"],
        [f"  Pulumi.dev.yaml:{line_of(text, 'tradng:web')}", "tradng:web"],
        [f"  Pulumi.dev.yaml:{line_of(text, 'three')}", "trading:cache.shards"],
    ]
    assert problems[0].endswith('0042 is read as the number 34: write 34, or "0042" if you mean a string')
    assert problems[1].endswith(
        "is required and has no default: The name that browsers use. It points to CloudFront."
    )


def test_rule_between_parts_has_the_line_of_its_key(project: Path) -> None:
    text = SMALL.replace("    orders: {", "    orders: { calls: [risk],", 1)
    _, problem = check(project, text)
    place = (
        f"  Pulumi.dev.yaml:{line_of(text, 'calls: [risk]')}: trading:services.orders.calls: risk is not in"
    )
    assert problem.startswith(place)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"config:\n  trading:environment: caf\xe9\n", "Pulumi.dev.yaml:2: byte 0xe9 is not UTF-8"),
        ("config:\n  trading:tags: {\n", "Pulumi.dev.yaml:3: is not valid YAML"),
        ("config:\n\tenvironment: dev\n", "Pulumi.dev.yaml:2: is not valid YAML"),
        ("config:\n  a: \x07\n", "Pulumi.dev.yaml: is not valid YAML"),
        ("config: {}\n---\nconfig: {}\n", "Pulumi.dev.yaml:2: is not valid YAML"),
        (
            "config:\n  trading:a: 1\n  trading:a: 2\n",
            "Pulumi.dev.yaml:3: trading:a is given twice, first in line 2",
        ),
        ("config:\n  trading:a: { b: 1, b: 2 }\n", "Pulumi.dev.yaml:2: b is given twice"),
        ("config:\n  a: 1\n  trading:a: 2\n", "Pulumi.dev.yaml:3: trading:a is given twice"),
        ("config: {}\nconfig: {}\n", "Pulumi.dev.yaml:2: config is given twice, first in line 1"),
        ("config:\n  trading:a: &a\n    b: *a\n", "Pulumi.dev.yaml:3: an alias refers"),
        ("config:\n  trading:a: &a [*a]\n", "Pulumi.dev.yaml:2: an alias refers"),
        ("config: &a\n  trading:a: *a\n", "Pulumi.dev.yaml:2: an alias refers"),
        ("config:\n  trading:a: &a\n    <<: *a\n", "Pulumi.dev.yaml:2: << can only merge mappings"),
        ("config:\n  trading:a: *b\n", "Pulumi.dev.yaml:2: is not valid YAML"),
        (
            "config:\n  trading:a: { 1: b }\n",
            "Pulumi.dev.yaml:2: 1: a key must be a string: put it in quotes",
        ),
        ("config:\n  trading:a: { [b]: c }\n", "Pulumi.dev.yaml:2: a key must be a string"),
        ("config:\n  trading:a: !b c\n", "Pulumi.dev.yaml:2: tag !b has no meaning here"),
        ("config:\n  trading:a: !!int c\n", "Pulumi.dev.yaml:2: c is not a valid !!int"),
        (
            "config:\n  trading:a:b: c\n",
            "Pulumi.dev.yaml:2: trading:a:b: a key must have the form NAMESPACE:KEY",
        ),
        ("config:\n  trading:a: " + "[" * 3000 + "\n", "Pulumi.dev.yaml: is nested too deeply"),
        (
            "config:\n  a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"  {k}: &{k} [{', '.join([f'*{p}'] * 10)}]\n" for p, k in ("ab", "bc", "cd", "de", "ef")
            ),
            "aliases repeat too many values",
        ),
        ("- a\n", "Pulumi.dev.yaml:1: is not a mapping"),
        ("text\n", "Pulumi.dev.yaml:1: is not a mapping"),
        ("", "Pulumi.dev.yaml: is empty"),
        ("# nothing\n", "Pulumi.dev.yaml: is empty"),
        ("encryptionsalt: v1:a\n", "Pulumi.dev.yaml: has no `config:`"),
        ("config:\n", "Pulumi.dev.yaml:1: config is not a mapping"),
        ("config: []\n", "Pulumi.dev.yaml:1: config is not a mapping"),
        (
            "confg: {}\n",
            "Pulumi.dev.yaml:1: confg: unknown key, which the engine would ignore; did you mean config?",
        ),
        ("config: {}\ntrading:tags: {}\n", "Pulumi.dev.yaml:2: trading:tags: unknown key"),
    ],
)
def test_file_that_is_none_gets_one_error(project: Path, text: str | bytes, says: str) -> None:
    (error,) = check(project, text)
    assert error.startswith("error: ")
    assert says in error


@pytest.mark.parametrize("command", ["check", "show"])
def test_missing_file_gets_one_error(project: Path, command: str) -> None:
    done = run(project, command, "--stack", "staging")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Pulumi.staging.yaml: no such file in ")
    assert done.stderr.endswith("the stack files there are: Pulumi.dev.yaml\n")


def test_folder_is_no_file(project: Path) -> None:
    (project / "Pulumi.dev.yaml").unlink()
    (project / "Pulumi.dev.yaml").mkdir()
    assert check(project) == ["error: Pulumi.dev.yaml: cannot be read: Is a directory"]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, f'"{"9" * 5000}"'])
def test_number_with_thousands_of_digits_is_refused(project: Path, number: str) -> None:
    heading, problem = check(project, SMALL.replace("shards: 1", f"shards: {number}"))
    assert heading == "error: Pulumi.dev.yaml has 1 problem:"
    assert "trading:cache.shards" in problem


def test_entry_without_a_value_removes_nothing(project: Path) -> None:
    text = SMALL.replace("trading:services:", "trading:services:\n    market-data:")
    problems = check(project, re.sub(r"\n    market-data: \{.*", "", text))
    says = "trading:services.market-data: is empty: give it a value, or write null"
    assert any(says in problem for problem in problems)


def test_integer_beyond_64_bits_is_read_as_the_engine_reads_it(project: Path) -> None:
    _, problem = check(project, SMALL.replace("cost-center: trading", "cost-center: 99999999999999999999"))
    assert "trading:tags.cost-center" in problem
    assert "put it in quotes" in problem


def test_full_disk_is_one_error(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(SMALL)
    command = [sys.executable, "-m", "settings", "show", "--stack", "dev"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=project, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_stack_may_be_named_in_full(project: Path) -> None:
    assert run(project, "check", "--stack", "organization/trading/dev").returncode == 0


def test_what_the_engine_adds_is_no_problem(project: Path) -> None:
    added = "secretsprovider: awskms://alias/a\nencryptedkey: AQ==\nencryptionsalt: v1:a=:v1:b:c=\n"
    assert check(project, f"{added}{SMALL}") == []


def test_keys_that_an_environment_may_bring_are_not_missed(project: Path) -> None:
    text = SMALL.replace("  trading:environment: small\n", "")
    assert check(project, text)
    assert check(project, f"environment: [platform]\n{text}") == []


SECRETS = (
    SMALL.replace("environment: small", "environment: { secure: v1:abc }")
    .replace("owner: trading-platform", "owner: { secure: v1:abc }")
    .replace("zone: example.com", "zone: { secure: v1:abc }")
    .replace("shards: 1", "shards: { secure: v1:abc }")
    .replace("trading:monitoring:\n", "trading:monitoring:\n    alarmEmails: [{ secure: v1:abc }]\n")
)


def test_encrypted_values_are_no_problem(project: Path) -> None:
    assert check(project, SECRETS) == []


def test_encrypted_values_hide_no_problem_of_others(project: Path) -> None:
    heading, problem = check(project, SECRETS.replace("readers: { min: 1", "readers: { min: 3"))
    assert heading == "error: Pulumi.dev.yaml has 1 problem:"
    assert "trading:database.readers: min (3)" in problem


def test_encrypted_values_are_not_shown(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(SECRETS)
    shown = run(project, "show", "--stack", "dev").stdout
    line = line_of(SECRETS, "shards")
    assert f"  shards: '[secret]'  # Pulumi.dev.yaml:{line}\n" in shown
    assert "abc" not in shown


def test_values_are_shown_with_where_they_come_from(project: Path) -> None:
    shown = run(project, "show", "--stack", "dev")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"  shards: 1  # Pulumi.dev.yaml:{line_of(SMALL, 'shards')}\n" in shown.stdout
    assert "  engineVersion: '8.1'  # default\n" in shown.stdout
    plain = "\n".join(line.split("  # ")[0] for line in shown.stdout.splitlines())
    values = without_namespace(yaml.safe_load(plain))
    assert values == effective(parse(SMALL, "Pulumi.dev.yaml").values())


def test_values_are_shown_to_programs(project: Path) -> None:
    shown = json.loads(run(project, "show", "--stack", "dev", "--json").stdout)
    assert shown["trading:cache.shards"] == {
        "value": 1,
        "source": f"Pulumi.dev.yaml:{line_of(SMALL, 'shards')}",
    }
    assert shown["trading:services.orders.port"] == {"value": 9898, "source": "default"}
    assert shown['trading:api.routes["/api/accounts"].writes'] == {"value": True, "source": "default"}
    assert shown["trading:regions[0].availabilityZones[1]"]["value"] == "us-east-1b"


def test_settings_of_a_wrong_file_are_not_shown(project: Path) -> None:
    (project / "Pulumi.dev.yaml").write_text(SMALL.replace("shards: 1", "shards: three"))
    done = run(project, "show", "--stack", "dev")
    assert (done.returncode, done.stdout) == (2, "")
    assert "trading:cache.shards" in done.stderr


@pytest.mark.parametrize("arguments", ["schema", "show --stack dev", "show --stack dev --json"])
def test_reader_that_has_seen_enough_ends_it_quietly(project: Path, arguments: str) -> None:
    command = f"{sys.executable} -m settings {arguments} | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=project, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


def test_error_of_reading_names_the_file() -> None:
    with pytest.raises(StackFileError, match=r"^Pulumi.nowhere.yaml: no such file"):
        read(Path("Pulumi.nowhere.yaml"))
