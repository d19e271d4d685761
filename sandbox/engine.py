"""Sessions: run a command with the real engine attached to the simulated providers, and clean up
afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from types import FrameType
from typing import Any, Self

import grpc
from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from sandbox import rollback, rpc, shims, tools
from sandbox.apiserver import ApiServer, ApiServers
from sandbox.aws.account import Account
from sandbox.aws.provider import AwsProvider
from sandbox.eks import EksProvider
from sandbox.folder import files, lock, remove
from sandbox.kubernetes.provider import KubernetesProvider
from sandbox.language_host import LanguageHost
from sandbox.processes import Children
from sandbox.project import Sandbox
from sandbox.random import RandomProvider
from sandbox.recovery import recover
from settings.stack_file import StackFileError, read, stack_path

SIGNALS = (signal.SIGINT, signal.SIGTERM)

NOT_FOUND = 127
"""A shell's exit status for a command that can't be run."""

PASSPHRASE = "sandbox"  # noqa: S105 (the states contain no real secrets)


def account_of(sandbox: Sandbox) -> Account:
    """The account that the project's stacks require. Stack files that can't be read are ignored here."""
    configurations: dict[str, dict[str, Any]] = {}
    for stack in sandbox.committed_stacks():
        path = stack_path(sandbox.project, stack)
        try:
            configurations[path.name] = read(path).config
        except (StackFileError, ValueError):
            configurations[path.name] = {}
    return Account.of(configurations.values(), configurations)


class _ApiServers(ApiServers):
    """Keeps the kubeconfig of all clusters up to date when clusters are added and removed."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox.directory)
        self.kubeconfig = sandbox.directory / "kubeconfig"
        self._writing = threading.Lock()

    def start(self, name: str) -> ApiServer:
        server = super().start(name)
        self._write()
        return server

    def remove(self, name: str) -> None:
        super().remove(name)
        self._write()

    def _write(self) -> None:
        with self._writing:
            self.write_kubeconfig(self.kubeconfig)


class Session:
    """Runs commands in a sandbox. As a context manager, it stops everything at its end.

    Attributes:
        environment: environment variables for commands in the sandbox.
        api_servers: the clusters' API servers.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.api_servers = _ApiServers(sandbox)
        self.environment: dict[str, str] = {}
        self._cleanup = contextlib.ExitStack()
        self._command: subprocess.Popen[str] | None = None
        self._killed = False

    def __enter__(self) -> Self:
        """Starts everything.

        Raises:
            SandboxError: another command uses the sandbox.
            tools.ToolError: a program isn't available.
            ApiServerError: an API server doesn't start.
        """
        tools.build_sandbox()
        with self._cleanup:
            for number in SIGNALS:
                self._cleanup.callback(signal.signal, number, signal.signal(number, self._on_signal))
            self._start()
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops everything, and ignores signals while doing so."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._cleanup.close()

    def _start(self) -> None:
        directory, later = self.sandbox.directory, self._cleanup
        held = later.enter_context(lock(directory))
        self._children = Children(hold=held.fileno())
        if rollback.restore(directory):
            print("sandbox: the last command was killed, so what it did is taken back", file=sys.stderr)
        rollback.keep(directory)
        later.callback(self._conclude)
        later.callback(self._children.close)
        self._clean_backend()
        self._disable_engine_log()
        kubeconfig, path = directory / "kubeconfig", os.environ.get("PATH", os.defpath)
        self.environment = {
            **os.environ,
            "PATH": f"{shims.write(self.sandbox)}{os.pathsep}{path}",
            "KUBECONFIG": str(kubeconfig),
            "PULUMI_BACKEND_URL": self.sandbox.backend.as_uri(),
            "PULUMI_HOME": str(directory / "pulumi-home"),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Without it, a first deployment takes twice as long. `sandbox.rollback` makes up for it.
            "PULUMI_SKIP_CHECKPOINTS": "true",
            # The engine's memory is small. By default, Go searches it for garbage too often.
            "GOGC": os.environ.get("GOGC", "400"),
            # Otherwise the engine tries to download plugins in every run once there is a state.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        for unwanted in ("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE_FILE"):
            self.environment.pop(unwanted, None)
        # The Kubernetes clients in this process also run `aws eks get-token`.
        os.environ["PATH"] = self.environment["PATH"]
        later.callback(os.environ.__setitem__, "PATH", path)
        providers = self._providers()
        later.callback(self.api_servers.stop)
        self.api_servers.start_existing()
        self.api_servers.write_kubeconfig(kubeconfig)
        add = provider_pb2_grpc.add_ResourceProviderServicer_to_server
        attached = [f"{provider.name}:{self._serve(provider, add)}" for provider in providers]
        self.environment["PULUMI_DEBUG_PROVIDERS"] = ",".join(attached)
        host = LanguageHost(tools.language_runner(), self.environment, self._children)
        port = self._serve(host, language_pb2_grpc.add_LanguageRuntimeServicer_to_server)
        self.environment["PULUMI_DEBUG_LANGUAGES"] = f"python:{port}"
        by_name = {provider.name: provider for provider in providers}
        # The engine's messages go to standard error, because standard output belongs to the command.
        recover(self.sandbox, by_name, self.environment, lambda command: self.run(command, output=2))

    def _conclude(self) -> None:
        """Keeps what the command did, unless it was killed and has not written its state."""
        if not self._killed:
            rollback.forget(self.sandbox.directory)

    def _clean_backend(self) -> None:
        """Creates the engine's backend, or removes what a crash left in it."""
        backend = self.sandbox.backend
        backend.mkdir(exist_ok=True)
        for path in files(backend):
            # Nothing else uses the backend, so any lock was left by a crash.
            is_lock = path.is_relative_to(backend / ".pulumi" / "locks") and path.suffix == ".json"
            # A crash while a state is written leaves the old state with an empty attributes file. The engine
            # can't read it, but doesn't need it.
            is_empty = path.suffix == ".attrs" and not path.lstat().st_size
            if is_lock or is_empty:
                path.unlink()

    def _disable_engine_log(self) -> None:
        """Prevents the engine from writing a log of everything that it does, which takes a third of its time.

        The engine has no option for that, but continues without a log if it can't create the folder
        (pulumi/pulumi: `StartLogging` in `pkg/logging`).
        """
        logs = self.sandbox.directory / "pulumi-home" / "logs"
        if not logs.is_file():
            remove(logs)
            logs.parent.mkdir(exist_ok=True)
            logs.touch()

    def _providers(self) -> list[rpc.Provider]:
        return [
            AwsProvider(self.sandbox.directory, self.api_servers, account_of(self.sandbox)),
            KubernetesProvider(self.sandbox.program),
            EksProvider(),
            RandomProvider(),
        ]

    def _serve(self, servicer: Any, add: Callable[[Any, grpc.Server], None]) -> int:
        server, port = rpc.serve(servicer, add)
        self._cleanup.callback(lambda: server.stop(grace=None).wait())
        return port

    def run(self, command: Sequence[str], output: int | None = None) -> int:
        """Runs a command and returns its exit status, or 128 + N if signal N terminated it.

        Ctrl-C and other signals reach the command once, either from the terminal, in whose foreground it
        runs, or from this process. `output` is a file descriptor for both standard output and standard error.
        """
        try:
            process = self._children.start(command, self.environment, output=output)
        except OSError as error:
            print(f"error: {command[0]} can't be run: {error.strerror}", file=sys.stderr)
            return NOT_FOUND
        self._command = process
        try:
            with _foreground(process.pid):
                while True:
                    _, status = os.waitpid(process.pid, os.WUNTRACED)
                    if not os.WIFSTOPPED(status):
                        break
                    # Ctrl-Z has no effect, because nothing here could resume a stopped command.
                    os.killpg(process.pid, signal.SIGCONT)
        finally:
            self._command = None
        process.returncode = os.waitstatus_to_exitcode(status)
        self._children.ended(process)
        self._killed |= process.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._command is None:
            raise SystemExit(128 + number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._command.pid, number)


@contextlib.contextmanager
def _foreground(group: int) -> Generator[None]:
    """Puts a process group in the terminal's foreground, so that it can read and receives Ctrl-C."""
    terminal = 0
    if not os.isatty(terminal) or os.tcgetpgrp(terminal) != os.getpgrp():
        yield
        return
    # A background process that changes the foreground is stopped, unless it ignores this signal.
    previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(terminal, group)
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, previous)
