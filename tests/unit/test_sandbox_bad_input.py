"""For invalid files and folders, commands print one line that names the file, and start nothing."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

import pytest

from policy import switches
from sandbox import __main__ as command
from sandbox import folder, shims
from sandbox.aws.provider import AwsProvider
from sandbox.aws.store import Row, Store
from sandbox.engine import Session, account_of
from sandbox.folder import DIRECTORY_VARIABLE, SandboxError
from sandbox.project import Sandbox, write_file
from sandbox.recovery import _take_back

ROOT = Path(__file__).parents[2]
PROJECT = "name: tiny\nruntime: python\n"
STACK = "config:\n  tiny:mode: yes\n  tiny:list: [1, {a: b}]\n"
STATE = {
    "version": 3,
    "checkpoint": {
        "latest": {
            "resources": [
                {
                    "urn": "urn:pulumi:local::tiny::pulumi:pulumi:Stack::tiny-local",
                    "type": "pulumi:pulumi:Stack",
                },
                {
                    "urn": "urn:pulumi:local::tiny::aws:sqs/queue:Queue::orders",
                    "type": "aws:sqs/queue:Queue",
                    "custom": True,
                    "id": "q",
                    "parent": "urn:pulumi:local::tiny::pulumi:pulumi:Stack::tiny-local",
                },
            ]
        }
    },
}


class SessionStarted(Exception):  # noqa: N818
    """All checks passed, and the command is about to start the tools."""


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox in which one stack is deployed, and no session may start."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "Pulumi.yaml").write_text(PROJECT)
    (project / "Pulumi.local.yaml").write_text(STACK)
    (project / "policy" / "pack").mkdir(parents=True)
    (project / "policy" / "pack" / "PulumiPolicy.yaml").touch()
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "sandbox"))

    def refuse(_: Session) -> NoReturn:
        raise SessionStarted

    monkeypatch.setattr(Session, "__enter__", refuse)
    found = Sandbox(project, tmp_path / "sandbox")
    folder.lock(found.directory).close()
    state(found).parent.mkdir(parents=True)
    state(found).write_text(json.dumps(STATE))
    store = Store(found.directory)
    for number in range(20):
        urn = f"urn:pulumi:local::tiny::aws:sqs/queue:Queue::q{number}"
        inputs = {"name": f"q{number}"}
        store.put(
            Row("aws:sqs/queue:Queue", "eu-west-1", f"q{number}", "", f"a{number}", urn, inputs, inputs)
        )
    store.close()
    return found


def state(sandbox: Sandbox) -> Path:
    return sandbox.backend / ".pulumi" / "stacks" / "tiny" / "local.json"


def run(sandbox: Sandbox, *arguments: str) -> int:
    try:
        return command.main(["--project", str(sandbox.project), *arguments])
    except SystemExit as end:
        return int(str(end.code))


def refused(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """The single error line with which a command ends."""
    assert run(sandbox, *arguments) == status
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert output.out == ""
    assert line.startswith("error: ")
    return line


LOOP = "config: &a\n  tiny:x: *a\n"
BOMB = "config:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)
BROKEN_YAML = {
    "not-utf8": (b"config:\n  tiny:mode: caf\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
    "utf16": ("config: {}\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
    "control-character": (b"config:\n  tiny:mode: \x01\n", "line 2: the character"),
    "alias-of-itself": (LOOP.encode(), "line 1: an alias contains itself"),
    "alias-of-itself-in-a-list": (b"config:\n  tiny:x: &a [1, *a]\n", "line 2: an alias contains itself"),
    "alias-of-nothing": (b"config:\n  tiny:x: *b\n", "line 2: found undefined alias"),
    "aliases-that-expand": (BOMB.encode(), "more than 100000 values"),
    "nested-too-deeply": (b"config: " + b"[" * 900 + b"]" * 900, "nested too deeply"),
    "unfinished": (b"config: [\n", "line 2: did not find expected node content"),
    "list": (b"- a\n", "is not a mapping of keys to values"),
    "text": (b"config", "is not a mapping of keys to values"),
    "key-twice": (
        b"config:\n  tiny:mode: yes\n  tiny:other: no\n  tiny:mode: no\n",
        "line 4: the key 'tiny:mode' is given twice, first in line 2",
    ),
    "key-twice-below": (b"config:\n  tiny:x:\n    a: 1\n    'a': 2\n", "line 4: the key 'a' is given twice"),
    "key-twice-in-a-list": (b"config:\n  tiny:x: [{a: 1, a: 2}]\n", "line 2: the key 'a' is given twice"),
    "key-twice-at-the-top": (b"config: {}\nconfig: {}\n", "line 2: the key 'config' is given twice"),
    "key-that-is-a-list": (b"? [a]\n: b\n", "line 1: a key must be a string"),
    "two-documents": (b"config: {}\n---\nconfig: {}\n", "line 2: but found another document"),
}

broken_yaml = pytest.mark.parametrize(("content", "expected"), BROKEN_YAML.values(), ids=BROKEN_YAML)


@broken_yaml
@pytest.mark.parametrize("name", ["up", "preview", "down"])
def test_broken_stack_file_is_named_with_its_line(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], name: str, content: bytes, expected: str
) -> None:
    path = sandbox.project / "Pulumi.local.yaml"
    path.write_bytes(content)
    line = refused(sandbox, capsys, name)
    assert f"{path} is not" in line
    assert expected in line


@broken_yaml
@pytest.mark.parametrize("name", ["up", "status", "exec"])
def test_broken_project_file_is_named_with_its_line(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], name: str, content: bytes, expected: str
) -> None:
    path = sandbox.project / "Pulumi.yaml"
    path.write_bytes(content)
    line = refused(sandbox, capsys, name, *(["--", "true"] if name == "exec" else []))
    assert f"{path} is not" in line
    assert expected in line


@broken_yaml
def test_broken_file_of_another_stack_is_no_hindrance(
    sandbox: Sandbox, content: bytes, expected: str
) -> None:
    path = sandbox.project / "Pulumi.prod.yaml"
    path.write_bytes(content)
    with pytest.raises(SessionStarted):
        run(sandbox, "up")
    sandbox.write_copy("local")
    for named in (None, "prod", "organization/tiny/prod"):
        with pytest.raises(SandboxError, match=r"Pulumi\.prod\.yaml"):
            sandbox.write_copy(named)
    account = account_of(sandbox)
    assert account.resources == ()
    assert account.files == ("Pulumi.local.yaml", "Pulumi.prod.yaml")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "`name` is missing"),
        ("# nothing\n", "`name` is missing"),
        ("runtime: python\n", "`name` is missing"),
        ("name:\nruntime: python\n", "`name` is missing"),
        ("name: [a]\nruntime: python\n", "`name` is missing"),
        ("name: ../x\nruntime: python\n", "`name` is '../x'"),
        ("name: ..\nruntime: python\n", "`name` is '..'"),
        ("name: two words\nruntime: python\n", "`name` is 'two words'"),
    ],
)
def test_project_file_needs_a_name(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], content: str, expected: str
) -> None:
    (sandbox.project / "Pulumi.yaml").write_text(content)
    for name in ("up", "status"):
        line = refused(sandbox, capsys, name)
        assert f"{sandbox.project / 'Pulumi.yaml'}: {expected}: give the project a name" in line


def test_reset_needs_no_project_file_that_can_be_read(sandbox: Sandbox) -> None:
    (sandbox.project / "Pulumi.yaml").write_bytes(b"\xff")
    assert run(sandbox, "reset", "--yes") == 0
    assert not sandbox.directory.exists()


@pytest.mark.parametrize("stack", ["../x", "../../local", "/etc/passwd", "two words", "", ".", "lo\ncal"])
def test_stack_that_does_not_exist_is_named(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], stack: str
) -> None:
    line = refused(sandbox, capsys, "up", "--stack", stack) if "\n" not in stack else ""
    assert not line or f"stack {stack!r}: no Pulumi.{stack}.yaml" in line
    assert sandbox.deployment(stack) == {}


def test_stack_file_of_a_name_that_no_stack_can_have_is_to_be_renamed(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    (sandbox.project / "Pulumi.two words.yaml").write_text(STACK)
    line = refused(sandbox, capsys, "up", "--stack", "two words")
    assert "rename Pulumi.two words.yaml: names must have up to 100 letters" in line


def test_stack_file_that_is_a_folder_is_named(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    (sandbox.project / "Pulumi.local.yaml").unlink()
    (sandbox.project / "Pulumi.local.yaml").mkdir()
    assert "Pulumi.local.yaml can't be read: Is a directory" in refused(sandbox, capsys, "up")


def test_file_without_permission_is_named(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def deny(path: Path) -> bytes:
        if path.name in ("Pulumi.local.yaml", "local.json"):
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", deny)
    assert "Pulumi.local.yaml can't be read: Permission denied" in refused(sandbox, capsys, "up")
    assert "local.json can't be read: Permission denied" in refused(sandbox, capsys, "status", status=1)


@pytest.mark.parametrize("place", ["file", "below-a-file", "link-to-itself", "too-long"])
@pytest.mark.parametrize("arguments", [["up"], ["status"], ["reset", "--yes"]], ids=lambda it: it[0])
def test_place_where_no_sandbox_can_be_is_named(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    place: str,
    arguments: list[str],
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = {
        "file": tmp_path / "file",
        "below-a-file": tmp_path / "file" / "below",
        "link-to-itself": tmp_path / "loop",
        "too-long": tmp_path / ("x" * 300),
    }[place]
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(path))
    line = refused(sandbox, capsys, *arguments)
    assert f"{path} can't be used as the sandbox's folder: " in line
    assert (tmp_path / "file").read_text() == "mine"


def test_place_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", deny)
    with pytest.raises(SandboxError, match=r"can't be used as the sandbox's folder: Permission denied"):
        folder.lock(tmp_path / "sandbox")


BROKEN_STATES = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"{}",
    b'{"checkpoint": null}',
    b'{"checkpoint": {"latest": 5}}',
    b'{"checkpoint": {"latest": {"resources": 5}}}',
    b'{"checkpoint": {"latest": {"resources": [5]}}}',
    b'{"checkpoint": {"latest": {"resources": [{"urn": "x", "type": "y"}]}}}',
    b'{"checkpoint": {"latest": {"resources": [{"urn": "a::b::c::d", "type": "y", "parent": []}]}}}',
    b'{"checkpoint": {"latest": {"pending_operations": [{"type": "creating"}]}}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", BROKEN_STATES, ids=lambda content: content[:60].decode(errors="replace"))
def test_broken_state_is_named(sandbox: Sandbox, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    state(sandbox).write_bytes(content)
    for name in ("status", "down"):
        line = refused(sandbox, capsys, name, status=1)
        assert f"{state(sandbox)} is not the state of a stack: delete the whole sandbox" in line
    assert run(sandbox, "reset", "--yes") == 0


def test_creation_that_was_interrupted_before_any_other_is_taken_back(tmp_path: Path) -> None:
    provider = AwsProvider(tmp_path)
    urn = "urn:pulumi:local::tiny::aws:sqs/queue:Queue::orders"
    provider.store.put(Row("aws:sqs/queue:Queue", "eu-west-1", "q", "", "a", urn, {}, {}))
    unfinished = {"urn": urn, "type": "aws:sqs/queue:Queue", "custom": True}
    _take_back({"pending_operations": [{"resource": unfinished, "type": "creating"}]}, {"aws": provider})
    assert provider.store.all() == []
    provider.store.close()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"99999999999999999999 x", b"-1 x", b"x", b"1" * 5000])
def test_lock_file_may_hold_anything(sandbox: Sandbox, content: bytes) -> None:
    (sandbox.directory / "lock").write_bytes(content)
    assert folder._runs(content.decode(errors="replace")) in (True, False)
    assert run(sandbox, "status") == 0
    folder.lock(sandbox.directory).close()


def _truncate(content: bytes, source: random.Random) -> bytes:
    return content[: source.randrange(len(content))]


def _flip(content: bytes, source: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(source.randrange(1, 8)):
        found[source.randrange(len(found))] = source.randrange(256)
    return bytes(found)


def _noise(content: bytes, source: random.Random) -> bytes:
    return source.randbytes(source.randrange(1, 4 * len(content)))


@pytest.mark.parametrize("damage", [_truncate, _flip, _noise])
@pytest.mark.parametrize("name", ["Pulumi.yaml", "Pulumi.local.yaml", "lock", "local.json", "aws.sqlite"])
def test_damaged_file_gives_at_most_one_line_of_error(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[bytes, random.Random], bytes],
) -> None:
    places = [sandbox.project, sandbox.directory, state(sandbox).parent]
    path = next(place / name for place in places if (place / name).exists())
    (sandbox.directory / "lock").write_text("4711 python -m sandbox up")
    content = path.read_bytes()
    failed = 0
    for seed in range(25):
        path.write_bytes(damage(content, random.Random(seed)))
        for arguments in (["status"], ["down"]):
            try:
                status = run(sandbox, *arguments)
            except SessionStarted:
                continue
            lines = capsys.readouterr().err.splitlines()
            assert len(lines) == (status != 0), lines
            failed += status != 0
    assert failed or name == "lock"


# Errors of the operating system


def cli(
    sandbox: Sandbox,
    *arguments: str,
    stdout: int | IO[str] | None = None,
    before: Callable[[], None] | None = None,
) -> tuple[int, str]:
    """Exit status and standard error of a command. `before` runs in its process."""
    command = [sys.executable, "-m", "sandbox", "--project", str(sandbox.project), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, preexec_fn=before
    )
    return done.returncode, done.stderr


def test_reader_that_goes_is_no_error(sandbox: Sandbox) -> None:
    for arguments in (["status"], ["status", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = cli(sandbox, *arguments, stdout=writer)
        os.close(writer)
        assert done == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_to_a_full_disk_is_one_line_of_error(sandbox: Sandbox) -> None:
    with Path("/dev/full").open("w") as full:
        done = cli(sandbox, "status", stdout=full)
    assert done == (1, "error: [Errno 28] No space left on device\n")


def test_closed_output_is_no_error_and_no_file_takes_its_place(sandbox: Sandbox) -> None:
    before = {path: path.read_bytes() for path in sandbox.directory.rglob("*") if path.is_file()}
    assert cli(sandbox, "status", before=lambda: os.close(1)) == (0, "")
    assert {path: path.read_bytes() for path in before} == before


def _full_disk() -> None:
    """Forbids all files to grow, which simulates a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize("exists", [False, True])
def test_disk_that_takes_no_more_is_one_line_of_error(sandbox: Sandbox, exists: bool) -> None:
    if not exists:
        folder.delete(sandbox.directory)
    status, error = cli(sandbox, "up", stdout=subprocess.PIPE, before=_full_disk)
    assert status == 1
    (line,) = error.splitlines()
    assert line.startswith("error: ")


def test_file_that_can_not_be_written_whole_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Pulumi.yaml"
    path.write_text("name: before")

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, "name: after")
    assert [item.name for item in tmp_path.iterdir()] == ["Pulumi.yaml"]
    assert path.read_text() == "name: before"


def test_commands_on_the_path_end_with_one_line_too(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    (sandbox.project / "Pulumi.local.yaml").write_bytes(b"\xff")
    for name, arguments in (
        ("pulumi", ["preview", "--stack", "local"]),
        ("aws", ["eks", "get-token", "--cluster-name", "../x"]),
    ):
        with pytest.raises(SystemExit):
            shims.run(getattr(shims, name), sandbox, arguments)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("sandbox: ")


# Settings are checked first

CHECK = """
import sys
assert sys.argv[1:3] == ["check", "--stack"], sys.argv
if sys.argv[3] == "wrong":
    print("trading:regions: give one", file=sys.stderr)
    sys.exit(2)
print("all is well")
"""


@pytest.fixture
def checked(sandbox: Sandbox) -> Sandbox:
    """A project with a command that checks its settings. The settings of the stack `wrong` are invalid."""
    (sandbox.project / "settings").mkdir()
    (sandbox.project / "settings" / "__main__.py").write_text(CHECK)
    (sandbox.project / "Pulumi.wrong.yaml").write_text(STACK)
    return sandbox


@pytest.mark.parametrize("name", ["up", "preview"])
def test_wrong_settings_are_said_alone_and_nothing_starts(
    checked: Sandbox, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(checked, name, "--stack", "wrong") == 2
    assert capfd.readouterr() == ("", "trading:regions: give one\n")


@pytest.mark.parametrize("name", ["up", "preview"])
def test_right_settings_are_not_mentioned(
    checked: Sandbox, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    with pytest.raises(SessionStarted):
        run(checked, name)
    assert capfd.readouterr() == ("", "")


def test_stack_of_wrong_settings_can_be_destroyed(checked: Sandbox) -> None:
    with pytest.raises(SessionStarted):
        run(checked, "down", "--stack", "wrong")


# Rules can't be left out by accident


SWITCHES = [
    "PULUMI_OPTION_POLICY_PACK_CONFIG",
    "PULUMI_OPTION_POLICY_PACK",
    "PULUMI_OPTION_SKIP_PREVIEW",
    "PULUMI_OPTION_CONFIG",
    "PULUMI_OPTION_CONFIG_FILE",
    "PULUMI_OPTION_EXCLUDE",
    "PULUMI_OPTION_TARGET",
    "PULUMI_OPTION_CLIENT",
    "PULUMI_OPTION_ANYTHING_NEW",
    "PULUMI_CONTINUE_ON_ERROR",
    "PULUMI_DISABLE_PROVIDER_PREVIEW",
    "PULUMI_PYTHON_CMD",
]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("command", ["up", "preview"])
def test_variable_that_could_weaken_the_rules_is_refused(
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    name: str,
) -> None:
    monkeypatch.setenv(name, "true")
    assert run(sandbox, command) == 1
    assert f"error: the environment sets {name}, with which the engine could leave out rules" in (
        capsys.readouterr().err
    )
    with pytest.raises(SessionStarted):
        run(sandbox, command, "--no-policies")


def test_variables_that_only_change_what_is_shown_are_accepted(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PULUMI_OPTION_COLOR", "PULUMI_OPTION_PARALLEL", "PULUMI_HOME", "PULUMI_SKIP_CHECKPOINTS"):
        monkeypatch.setenv(name, "1")
    with pytest.raises(SessionStarted):
        run(sandbox, "up")


@pytest.mark.parametrize("missing", ["policy", "policy/pack", "policy/pack/PulumiPolicy.yaml"])
@pytest.mark.parametrize("command", ["up", "preview"])
def test_missing_policy_pack_is_refused(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], command: str, missing: str
) -> None:
    folder.remove(sandbox.project / missing)
    assert run(sandbox, command) == 1
    assert "policy/pack has no policy pack, so no rule would be checked" in capsys.readouterr().err
    with pytest.raises(SessionStarted):
        run(sandbox, command, "--no-policies")


class _Silent:
    """A session whose engine succeeds, with or without a result of the rules."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.environment: dict[str, str] = {}

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, _command: list[str]) -> int:
        return 0


class _Judging(_Silent):
    def run(self, _command: list[str]) -> int:
        result = switches.Result(preview=False, rules=3, resources=2, problems=0, excepted=1, waiting=0)
        result.save(Path(self.environment[switches.RESULT_VARIABLE]))
        return 0


def test_deployment_says_what_the_rules_did_or_fails(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.__main__._session", _Judging)
    assert run(sandbox, "up") == 0
    assert "Rules: 3 checked the 2 resources of the deployment: 0 problems, 1 exceptions." in (
        capsys.readouterr().out
    )
    assert run(sandbox, "preview") == 1  # that of a deployment proves nothing about a preview
    monkeypatch.setattr("sandbox.__main__._session", _Silent)
    assert run(sandbox, "up") == 1
    assert "the rules did not run in the deployment" in capsys.readouterr().err
