"""The base of a change: which revision it is, and that it is deployed once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from report.base import KEPT, BaseError, base_of, deploy

DEPLOYS = """
import os, pathlib, sys
folder = pathlib.Path(os.environ["TRADING_SANDBOX_DIR"])
folder.mkdir(parents=True)
(folder / ".trading-sandbox").touch()
print("deploying", *sys.argv[1:], open("program").read())
with open(os.environ["LOG"], "a") as log:
    print(*sys.argv[1:], open("program").read(), file=log)
"""
FAILS = f"{DEPLOYS}\nsys.exit('the topic orders has no partitions')"


class Repository:
    """A repository whose `sandbox` module writes into a log what it deploys."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "repository"
        self.folder.mkdir()
        self._log = folder / "log"
        monkeypatch.setenv("LOG", str(self._log))
        self.git("init", "--quiet", "--initial-branch=main")
        (self.folder / ".gitignore").write_text("/.diff/\n")
        self.commit(Pulumi_yaml="name: p", Pulumi_dev_yaml="config: {}", requirements_txt="", program="1")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, **files: str) -> None:
        for name, text in {"sandbox/__main__.py": DEPLOYS, **files}.items():
            path = self.folder / name.replace("_yaml", ".yaml").replace("Pulumi_", "Pulumi.").replace(
                "_txt", ".txt"
            )
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def commit(self, **files: str) -> str:
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.git("rev-parse", "HEAD")

    def deployed(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path, monkeypatch)


def test_base_is_where_the_branch_left_the_revision(repository: Repository) -> None:
    left = repository.git("rev-parse", "HEAD")
    repository.git("switch", "--quiet", "--create", "branch")
    repository.commit(program="2")
    repository.git("switch", "--quiet", "main")
    repository.commit(program="3")
    repository.git("switch", "--quiet", "branch")
    repository.write(program="uncommitted")
    base = base_of("main", "dev", repository.folder)
    assert base.revision == left
    assert (base.program / "program").read_text() == "1"


def test_base_is_deployed_once(repository: Repository) -> None:
    for _ in range(2):
        base = base_of("main", "dev", repository.folder)
        deploy(base, repository.folder)
    assert repository.deployed() == ["up --stack dev --no-policies 1"]


def test_what_does_not_shape_the_deployment_needs_no_other_one(repository: Repository) -> None:
    deploy(base_of("main", "dev", repository.folder), repository.folder)
    repository.folder.joinpath("docs").mkdir()
    repository.commit(**{"docs/page.txt": "text", "README.md": "text"})
    deploy(base_of("main", "dev", repository.folder), repository.folder)
    assert len(repository.deployed()) == 1
    repository.commit(program="2")
    deploy(base_of("main", "dev", repository.folder), repository.folder)
    assert [line[-1] for line in repository.deployed()] == ["1", "2"]


def test_base_without_the_stack_deploys_nothing(repository: Repository) -> None:
    base = base_of("main", "new", repository.folder)
    assert not base.has_stack
    deploy(base, repository.folder)
    assert repository.deployed() == []


def test_base_that_fails_is_reported_and_tried_again(repository: Repository) -> None:
    commit = repository.commit(**{"sandbox/__main__.py": FAILS})
    for _ in range(2):
        with pytest.raises(
            BaseError, match=f"(?s)can't be deployed.*{commit[:12]}.*orders has no partitions"
        ):
            deploy(base_of("main", "dev", repository.folder), repository.folder)
    assert len(repository.deployed()) == 2


@pytest.mark.parametrize("revision", ["origin/main", "HEAD~1", "--all", ""])
def test_revision_that_does_not_exist_is_named(repository: Repository, revision: str) -> None:
    with pytest.raises(BaseError, match=f"BASE={revision} is not a commit of this repository"):
        base_of(revision, "dev", repository.folder)


def test_revision_without_the_program_is_named(repository: Repository) -> None:
    commit = repository.git(
        "commit-tree", "-m", "empty", repository.git("hash-object", "-t", "tree", "/dev/null")
    )
    with pytest.raises(BaseError, match=r"contains no Pulumi\.yaml"):
        base_of(commit, "dev", repository.folder)


def test_folder_that_is_no_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="is not in a Git repository"):
        base_of("main", "dev", tmp_path)


def test_old_bases_are_removed(repository: Repository) -> None:
    for number in range(KEPT + 2):
        repository.commit(program=str(number))
        deploy(base_of("main", "dev", repository.folder), repository.folder)
    kept = {path.joinpath("program", "program").read_text() for path in repository.folder.glob(".diff/dev-*")}
    assert kept == {str(number) for number in range(2, KEPT + 2)}


def test_tools_are_linked_and_can_be_replaced(repository: Repository) -> None:
    tools = repository.folder / ".tools" / "bin"
    tools.mkdir(parents=True)
    for name in ("pulumi", ".pulumi.stamp", ".pulumi.lock"):
        (tools / name).write_text(name)
    base = base_of("main", "dev", repository.folder)
    deploy(base, repository.folder)
    linked = base.program / ".tools" / "bin"
    assert (linked / "pulumi").readlink() == tools / "pulumi"
    assert not (linked / ".pulumi.stamp").is_symlink()
    assert sorted(path.name for path in linked.iterdir()) == [".pulumi.stamp", "pulumi"]


def test_link_that_leads_out_of_the_repository_is_an_error(repository: Repository) -> None:
    (repository.folder / "outside").symlink_to("/etc/hosts")
    repository.commit()
    with pytest.raises(BaseError, match="'outside' is a link to an absolute path"):
        base_of("main", "dev", repository.folder)
