"""The language host alone, with a runner and an engine that the tests control."""

# The gRPC stubs are not typed.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2_grpc, language_pb2, language_pb2_grpc

from sandbox import rpc
from sandbox.language_host import LanguageHost
from sandbox.processes import Children

DEADLINE = 30


class Engine(engine_pb2_grpc.EngineServicer):
    """Records the messages that it is told to show."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802
        self.messages.append(request.message)
        return empty_pb2.Empty()


class Fixture:
    def __init__(self, folder: Path, address: str, channel: grpc.Channel, engine: Engine) -> None:
        self.folder = folder
        self.address = address
        self.channel = channel
        self.engine = engine
        self.stub = language_pb2_grpc.LanguageRuntimeStub(channel)

    def program(self, source: str) -> None:
        """Replaces the official runner."""
        (self.folder / "runner.py").write_text(source)

    def request(self, **values: Any) -> language_pb2.RunRequest:
        info = language_pb2.ProgramInfo(
            root_directory="/root-folder", program_directory=str(self.folder), entry_point="."
        )
        return language_pb2.RunRequest(project="p", stack="s", parallel=4, info=info, **values)

    def run_until_it_sleeps(self) -> tuple[Any, int]:
        self.program("import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)")
        run = self.stub.Run.future(self.request())
        deadline = time.monotonic() + DEADLINE
        while not (self.folder / "pid").exists() or not (self.folder / "pid").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return run, int((self.folder / "pid").read_text())


@pytest.fixture
def fixture(tmp_path: Path) -> Generator[Fixture]:
    engine = Engine()
    server = grpc.server(ThreadPoolExecutor(4))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with tempfile.TemporaryFile() as held:
        children = Children(hold=held.fileno())
        host = LanguageHost(tmp_path / "runner.py", {**os.environ, "OF": "the session"}, children)
        host_server, port = rpc.serve(host, language_pb2_grpc.add_LanguageRuntimeServicer_to_server)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            fixture = Fixture(tmp_path, f"127.0.0.1:{port}", channel, engine)
            fixture.stub.Handshake(language_pb2.LanguageHandshakeRequest(engine_address=address))
            yield fixture
        host_server.stop(grace=None).wait()
        children.close()
    server.stop(grace=None).wait()


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_program_gets_configuration_arguments_and_environment(fixture: Fixture) -> None:
    fixture.program("import os, sys, json; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]))")
    config = {"p:key": "value", "p:token": "t"}
    response = fixture.stub.Run(fixture.request(config=config, configSecretKeys=["p:token"], dryRun=True))
    assert (response.error, response.bail) == ("", False)
    arguments, environment, folder = json.loads(fixture.engine.messages[0])
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    assert (options["--project"], options["--stack"], options["--dry_run"]) == ("p", "s", "true")
    assert (options["--pwd"], options["--root_directory"]) == (str(fixture.folder), "/root-folder")
    assert arguments[-1] == "."
    assert json.loads(environment["PULUMI_CONFIG"]) == config
    assert json.loads(environment["PULUMI_CONFIG_SECRET_KEYS"]) == ["p:token"]
    assert environment["OF"] == "the session"
    assert folder == str(fixture.folder)


def test_each_run_is_a_process_of_its_own(fixture: Fixture) -> None:
    fixture.program("import os; print(os.getpid())")
    for _ in range(2):
        fixture.stub.Run(fixture.request())
    assert len({int(message) for message in fixture.engine.messages}) == 2


def test_both_outputs_are_shown_by_the_engine(fixture: Fixture) -> None:
    fixture.program("import sys; print('to out'); print('to err', file=sys.stderr)")
    fixture.stub.Run(fixture.request())
    assert sorted(fixture.engine.messages) == ["to err\n", "to out\n"]


@pytest.mark.parametrize(
    ("status", "error", "bail"),
    [(0, "", False), (32, "", True), (1, "Program exited with non-zero exit code: 1", False)],
)
def test_exit_status_of_the_runner_is_answered_as_the_official_host_does(
    fixture: Fixture, status: int, error: str, bail: bool
) -> None:
    fixture.program(f"raise SystemExit({status})")
    response = fixture.stub.Run(fixture.request())
    assert (response.error, response.bail) == (error, bail)


def test_cancel_ends_the_program(fixture: Fixture) -> None:
    run, pid = fixture.run_until_it_sleeps()
    fixture.stub.Cancel(empty_pb2.Empty())
    assert run.result(timeout=DEADLINE).bail
    assert_gone(pid)


def test_program_ends_when_the_engine_is_gone(fixture: Fixture) -> None:
    _, pid = fixture.run_until_it_sleeps()
    fixture.channel.close()
    assert_gone(pid)


def test_background_process_of_a_program_does_not_outlive_it(fixture: Fixture) -> None:
    fixture.program(
        "import subprocess; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid))"
    )
    fixture.stub.Run(fixture.request(), timeout=DEADLINE)
    assert_gone(int((fixture.folder / "pid").read_text()))


def test_cancel_of_another_engine_does_not_end_the_program(fixture: Fixture) -> None:
    run, _ = fixture.run_until_it_sleeps()
    # Without its own pool, the second channel would use the first channel's connection.
    with grpc.insecure_channel(fixture.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        language_pb2_grpc.LanguageRuntimeStub(channel).Cancel(empty_pb2.Empty())
    with pytest.raises(grpc.FutureTimeoutError):
        run.result(timeout=0.3)


def test_program_that_is_killed_is_an_error(fixture: Fixture) -> None:
    fixture.program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    response = fixture.stub.Run(fixture.request())
    assert (response.error, response.bail) == ("Program was terminated by signal 9", False)
