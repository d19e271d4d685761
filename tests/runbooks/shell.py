"""Runs shell code with the AWS CLI on moto's account, and with stand-ins for the other programs.

The AWS CLI runs in this process, because starting it takes a second. In the shell, `aws` and the stand-ins
are small scripts that send their arguments to this process. moto answers, or `tests.runbooks.unsupported`.
"""

# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox import tools
from tests.runbooks import unsupported

FORWARD = """#!/bin/bash
exec 3<>"/dev/tcp/127.0.0.1/$RUNBOOK_PORT"
printf '%s\\0' "$(($# + 4))" "${0##*/}" "$PWD" "${AWS_REGION:-}" "$@" >&3
read -r folder status <&3
[[ ! -s $folder/err ]] || cat "$folder/err" >&2
exec 3<&-
[[ -s $folder/out ]] && cat "$folder/out"
exit "$status"
"""
"""Sends a command, whose name is that of the script, to this process, and prints the answer."""

REAL = (
    *("awk", "bash", "cat", "cut", "date", "find", "grep", "gzip", "head", "jq", "mktemp"),
    *("rm", "sed", "seq", "sh", "sort", "tail", "tr", "uniq", "xargs"),
)
"""Programs that the snippets use, on Linux and on macOS."""
FORWARDED = ("aws", "awscurl", "curl", "gh", "git", "kubectl", "make", "openssl", "pulumi", "python")


@dataclass(frozen=True)
class Call:
    """One operation of an API that the AWS CLI called."""

    service: str
    operation: str
    region: str
    parameters: Mapping[str, Any]


@dataclass
class Result:
    """What shell code did."""

    status: int = 0
    failed: list[str] = field(default_factory=list[str])
    """The commands of the AWS CLI that failed."""
    output: str = ""
    errors: str = ""
    calls: list[Call] = field(default_factory=list[Call])
    commands: list[list[str]] = field(default_factory=list[list[str]])
    """The commands of the stand-ins and of the AWS CLI, with their arguments."""


def _driver() -> Any:
    """The AWS CLI. It and its clients are created once, because that takes longer than a command."""
    folder = str(tools.awscli())
    if folder not in sys.path:
        sys.path.append(folder)  # after this project's own packages, of which it uses botocore
    driver: Any = importlib.import_module("awscli.clidriver").create_clidriver()
    create, made = driver.session.create_client, dict[str, Any]()

    def client(*arguments: Any, **options: Any) -> Any:
        key = f"{arguments} {options} {os.environ['AWS_DEFAULT_REGION']}"
        if key not in made:
            made[key] = create(*arguments, **options)
        return made[key]

    driver.session.create_client = client
    return driver


class Shell:
    """Runs shell code. One thread answers all commands, one after the other.

    Args:
        answers: a program's name → a function of its arguments that returns what it prints.
    """

    def __init__(self, answers: Mapping[str, Callable[[Sequence[str]], str]]) -> None:
        self._answers = answers
        self._folder = tempfile.TemporaryDirectory()
        self._result = Result()
        self._driver = _driver()
        self._driver.session.register("before-parameter-build", self._record)
        self._driver.session.register("before-call", unsupported.answer)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._bin = Path(self._folder.name, "bin")
        self._bin.mkdir()
        for name in FORWARDED:
            program = self._bin / name
            program.write_text(FORWARD)
            program.chmod(0o755)
        (self._bin / "sleep").write_text("#!/bin/sh\n")
        (self._bin / "sleep").chmod(0o755)
        threading.Thread(target=self._serve, daemon=True).start()

    def run(self, code: str, environment: Mapping[str, str], folder: Path, shell: str = "bash") -> Result:
        """Runs the code in a folder. The shell stops at an unset variable, but not at an error."""
        self._result = Result()
        found = subprocess.run(
            [shell, "-c", code],
            cwd=folder,
            env={
                "PATH": f"{self._bin}:{_real()}",
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "RUNBOOK_PORT": str(self._socket.getsockname()[1]),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        result, self._result = self._result, Result()
        result.status, result.output, result.errors = found.returncode, found.stdout, found.stderr
        return result

    def close(self) -> None:
        self._socket.close()
        self._folder.cleanup()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                arguments = _read(stream)
                with contextlib.suppress(OSError):
                    connection.sendall(self._answer(*arguments))

    def _answer(self, program: str, folder: str, region: str, *arguments: str) -> bytes:
        self._result.commands.append([program, *arguments])
        answer = Path(tempfile.mkdtemp(dir=self._folder.name))
        output, errors = _Text(), _Text()
        status = 0
        try:
            if program == "aws":
                status = self._aws(arguments, folder, region, output, errors)
            else:
                output.write(self._answers[program](arguments))
        except (Exception, SystemExit) as error:
            errors.write(f"{program}: {error!r}\n")
            status = 99
        if status:
            self._result.failed.append(" ".join([program, *arguments]))
        (answer / "out").write_bytes(output.bytes())
        (answer / "err").write_bytes(errors.bytes())
        return f"{answer} {status}\n".encode()

    def _aws(
        self, arguments: Sequence[str], folder: str, region: str, output: io.TextIOBase, errors: io.TextIOBase
    ) -> int:
        before, here = os.environ.get("AWS_DEFAULT_REGION"), Path.cwd()
        os.environ["AWS_DEFAULT_REGION"] = region
        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                return int(self._driver.main([*arguments]) or 0)
        finally:
            os.chdir(here)
            if before is not None:
                os.environ["AWS_DEFAULT_REGION"] = before

    def _record(self, params: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_: Any) -> None:
        context_region = str(context["client_region"])
        unsupported.parameters.value = dict(params)
        self._result.calls.append(
            Call(model.service_model.service_name, model.name, context_region, dict(params))
        )


class _Text(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def bytes(self) -> bytes:
        self.flush()
        buffer: Any = self.buffer
        return buffer.getvalue()


def _read(stream: Any) -> list[str]:
    """The arguments of one command. The first says how many there are with it."""

    def parts() -> Iterator[str]:
        part = b""
        while byte := stream.read(1):
            if byte == b"\0":
                yield part.decode()
                part = b""
            else:
                part += byte

    found = parts()
    count = int(next(found)) - 1
    return [next(found) for _ in range(count)]


@functools.cache
def _real() -> str:
    """A folder with only the programs that the snippets may use."""
    import shutil

    folder = Path(tempfile.mkdtemp())
    for name in REAL:
        path = shutil.which(name)
        assert path, f"the tests of the runbooks need {name}"
        (folder / name).symlink_to(path)
    return str(folder)
