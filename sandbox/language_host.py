"""The engine's Python language host, which runs a program each time the engine requests it.

The program runs in its own process with the official runner, `pulumi-language-python-exec`, so a preview
leaves no module state for the update that follows it. Sources: `proto/pulumi/language.proto`, and Pulumi's
own `pulumi-language-python`, which gives the same responses.
"""

# The protocol defines method names and signatures. The generated base class is untyped.
# pyright: reportUnknownMemberType=false, reportUnknownParameterType=false

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, language_pb2, language_pb2_grpc, plugin_pb2

from sandbox.processes import Children
from sandbox.project import environment_path

SHOWN_TO_THE_USER = 32
"""The runner's exit status for an error that it has already reported."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """One host for all engines that attach. Data of an engine is kept by its connection."""

    def __init__(self, runner: Path, environment: Mapping[str, str], children: Children) -> None:
        self._runner = runner
        self._environment = environment
        self._children = children
        self._engines: dict[str, str] = {}
        self._running: dict[str, set[subprocess.Popen[str]]] = {}

    def Handshake(self, request: Any, context: Any) -> language_pb2.LanguageHandshakeResponse:
        """Stores the engine's address, which only this call contains."""
        self._engines[context.peer()] = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> plugin_pb2.PluginInfo:
        """Returns the version of the SDK, which equals the engine's."""
        return plugin_pb2.PluginInfo(version=importlib.metadata.version("pulumi"))

    def GetRequiredPackages(self, request: Any, context: Any) -> language_pb2.GetRequiredPackagesResponse:
        """Returns no packages, because all providers are already attached."""
        return language_pb2.GetRequiredPackagesResponse()

    def InstallDependencies(
        self, request: Any, context: Any
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Installs nothing, because the program runs in the sandbox's virtual environment."""
        yield from ()

    def About(self, request: Any, context: Any) -> language_pb2.AboutResponse:
        """Returns the interpreter that runs programs."""
        return language_pb2.AboutResponse(executable=sys.executable, version=platform.python_version())

    def GetProgramDependencies(
        self, request: Any, context: Any
    ) -> language_pb2.GetProgramDependenciesResponse:
        """Returns the packages of the virtual environment."""
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=package.name, version=package.version)
                for package in importlib.metadata.distributions()
            ]
        )

    def Cancel(self, request: Any, context: Any) -> empty_pb2.Empty:
        """Stops this engine's programs."""
        for program in self._running.pop(context.peer(), set()):
            _kill(program)
        return empty_pb2.Empty()

    def Run(self, request: Any, context: Any) -> language_pb2.RunResponse:
        """Runs the program until it ends, or until the engine cancels it or disconnects."""
        address = self._engines[context.peer()]
        options = {
            "monitor": request.monitor_address,
            "engine": address,
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
            "pwd": request.info.program_directory,
            "parallel": str(request.parallel),
            "dry_run": "true" if request.dryRun else "false",
        }
        command = [sys.executable, "-u", str(self._runner)]
        for name, value in options.items():
            command += [f"--{name}", value]
        program = self._children.start(
            [*command, request.info.entry_point, *request.args],
            {
                **self._environment_of(request),
                "PULUMI_CONFIG": json.dumps(dict(request.config)),
                "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            },
            folder=Path(request.info.program_directory),
            stdin=subprocess.DEVNULL,
            output=subprocess.PIPE,
        )
        self._running.setdefault(context.peer(), set()).add(program)
        # gRPC calls this at the end of the call, or immediately when the engine disconnects.
        if not context.add_callback(lambda: _kill(program)):
            _kill(program)
        with grpc.insecure_channel(address) as channel:
            engine = engine_pb2_grpc.EngineStub(channel)
            streams = [
                threading.Thread(target=_forward, args=(stream, engine))
                for stream in (program.stdout, program.stderr)
            ]
            for thread in streams:
                thread.start()
            status = program.wait()
            self._children.ended(program)
            for thread in streams:
                thread.join()
        running = self._running.get(context.peer(), set())
        cancelled = program not in running
        running.discard(program)
        if cancelled or status == SHOWN_TO_THE_USER:
            return language_pb2.RunResponse(bail=True)
        if status < 0:
            return language_pb2.RunResponse(error=f"Program was terminated by signal {-status}")
        if status:
            return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {status}")
        return language_pb2.RunResponse()

    def _environment_of(self, request: Any) -> Mapping[str, str]:
        """The environment of the command that runs the engine, such as `env X=1 pulumi up`.

        The engine doesn't pass its environment to a language host that it attaches to, so `shims.pulumi`
        writes it to a file.
        """
        try:
            return json.loads(environment_path(Path(request.info.root_directory), request.stack).read_text())
        except FileNotFoundError:
            return self._environment


def _forward(stream: IO[str] | None, engine: engine_pb2_grpc.EngineStub) -> None:
    """Forwards a program's own output to the engine's messages, line by line."""
    for line in stream or ():
        # The pipe must be drained even if the engine has disconnected.
        with suppress(grpc.RpcError):
            engine.Log(engine_pb2.LogRequest(severity=engine_pb2.INFO, message=line))


def _kill(program: subprocess.Popen[str]) -> None:
    if program.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
