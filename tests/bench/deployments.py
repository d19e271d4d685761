"""Deployments in the sandbox, compared with the commit before they were made faster."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sandbox.folder import DIRECTORY_VARIABLE
from tests.unit.harness import ROOT

BASELINE = "1269f4eb"
"""The last commit whose program used the SDK as it is, and whose sandbox derived schemas at each start."""

FLAT = f"""
import atexit, os, resource, sys
from pathlib import Path
if os.environ["BENCH_SDK"] == "ours":
    sys.path.insert(0, {str(ROOT)!r})
    import components
import pulumi_aws as aws
for number in range(int(os.environ["BENCH_COUNT"])):
    aws.sqs.Queue(f"queue-{{number}}", name=f"queue-{{number}}")
def write():
    used = resource.getrusage(resource.RUSAGE_SELF)
    Path(os.environ["BENCH_USED"]).write_text(str(used.ru_utime + used.ru_stime))
atexit.register(write)
"""
"""A program whose resources don't depend on each other."""


@dataclass(frozen=True)
class Used:
    """What a command used."""

    seconds: float
    cpu: float
    """CPU seconds of all its processes."""
    memory: float
    """GiB of all its processes at their peak, in which shared pages count once."""
    program: float
    """CPU seconds of the flat program's process."""


@dataclass(frozen=True)
class Side:
    """A version of the project, and a folder with its fixture stacks."""

    name: str
    root: Path
    project: Path

    def run(self, *arguments: str, **environment: str) -> Used:
        """Runs `python -m sandbox`."""
        used = self.project.parent / "used"
        command = [sys.executable, "-m", "sandbox", "--project", str(self.project), *arguments]
        variables = {DIRECTORY_VARIABLE: str(self.project.parent / "sandbox"), "BENCH_USED": str(used)}
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env={**os.environ, **variables, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with _peak(process.pid) as peak:
            assert process.stdout
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)} failed:\n{output.decode()[-4000:]}")
        program = float(used.read_text()) if used.exists() else 0.0
        found = Used(seconds, usage.ru_utime + usage.ru_stime, peak() / 2**30, program)
        print(
            f"  {self.name:<9} {' '.join(arguments):<46} {found.seconds:6.1f} s {found.cpu:6.1f} CPU s "
            f"{found.memory:5.2f} GiB",
            flush=True,
        )
        return found


@contextlib.contextmanager
def _peak(root: int) -> Generator[Callable[[], int]]:
    """The most memory in bytes that a process and its descendants use together, sampled twice a second."""
    highest, ended = 0, threading.Event()

    def sample() -> None:
        nonlocal highest
        while not ended.wait(0.5):
            highest = max(highest, sum(map(_memory, _descendants(root))))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield lambda: highest
    finally:
        ended.set()
        thread.join()


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [root]
    for number in found:
        found += children.get(number, [])
    return found


def _memory(number: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def side(name: str, root: Path, folder: Path) -> Side:
    """Prepares a version of the project with its fixture stacks as its stack files."""
    project = folder / name / "project"
    project.mkdir(parents=True)
    for path in root.iterdir():
        if not path.name.startswith((".", "Pulumi.")) or path.name == "Pulumi.yaml":
            (project / path.name).symlink_to(path)
    for path in (root / "tests" / "stacks").iterdir():
        (project / f"Pulumi.{path.name}").write_text(path.read_text())
    return Side(name, root, project)


def flat(name: str, folder: Path) -> Side:
    """Prepares a project with the flat program."""
    project = folder / name / "project"
    project.mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("{name: flat, runtime: python}")
    (project / "Pulumi.local.yaml").write_text("config: {}")
    (project / "__main__.py").write_text(FLAT)
    return Side(name, ROOT, project)


def checkout(revision: str, folder: Path) -> Path:
    """Writes the files of a revision, and links the virtual environment and the tools."""
    files = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(folder, filter="data")
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def show(name: str, values: Sequence[float], target: str) -> str:
    """The line of a ratio: its median, and what it should be."""
    runs = ", ".join(f"{value:.2f}" for value in values)
    print(f"{name}: {runs}", flush=True)
    return f"ratio {name} {median(values):.2f} {target}"


def main(runs: int) -> None:
    """Measures everything this number of times, and prints the ratios at the end."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="trading-bench-") as temporary:
        folder = Path(temporary)
        before = side("before", checkout(BASELINE, folder / "baseline"), folder)
        now = side("now", ROOT, folder)
        # The flat program takes seconds, in which the machine's other work counts for more.
        lines += _flat(flat("flat", folder), max(runs, 3))
        lines += _previews(before, now, runs)
        lines += _deployments(before, now, runs)
    print(*lines, sep="\n", flush=True)


def _flat(project: Side, runs: int) -> list[str]:
    def preview(sdk: str, count: int) -> Used:
        # The flat project has no policy pack.
        preview = ("preview", "--stack", "local", "--no-policies")
        return project.run(*preview, BENCH_SDK=sdk, BENCH_COUNT=str(count))

    speed: list[float] = []
    growth: list[float] = []
    memory: list[float] = []
    for _ in range(runs):
        stock, ours, many = preview("stock", 1000), preview("ours", 1000), preview("ours", 4000)
        speed.append(stock.program / ours.program)
        growth.append(many.cpu / 4 / ours.cpu)
        memory.append(many.memory)
    return [
        show("flat-program-stock-sdk-to-ours", speed, ">=8"),
        show("cpu-per-resource-4000-to-1000", growth, "<=1.15"),
        show("gib-of-preview-of-4000", memory, "<=1.5"),
    ]


def _previews(before: Side, now: Side, runs: int) -> list[str]:
    preview = ("preview", "--stack", "full")
    without: list[float] = []
    with_policies: list[float] = []
    share: list[float] = []
    for _ in range(runs):
        old, new = (it.run(*preview, "--no-policies") for it in (before, now))
        old_policies, new_policies = (it.run(*preview) for it in (before, now))
        without.append(old.cpu / new.cpu)
        with_policies.append(old_policies.cpu / new_policies.cpu)
        share.append(1 - new.cpu / new_policies.cpu)
    return [
        show("preview-cpu-before-to-now", without, ">=2.5"),
        show("preview-cpu-with-policies-before-to-now", with_policies, ">=2.5"),
        show("policies-share-of-preview-cpu", share, "<=0.10"),
    ]


def _deployments(before: Side, now: Side, runs: int) -> list[str]:
    first: list[float] = []
    unchanged: list[float] = []
    for _ in range(runs):
        old, new = (it.run("up", "--stack", "small") for it in (before, now))
        old_again, new_again = (it.run("up", "--stack", "small") for it in (before, now))
        first.append(old.seconds / new.seconds)
        unchanged.append(old_again.seconds / new_again.seconds)
        for it in (before, now):
            it.run("down", "--stack", "small")
    return [
        show("first-up-before-to-now", first, ">=2"),
        show("unchanged-up-before-to-now", unchanged, ">=2.5"),
    ]
