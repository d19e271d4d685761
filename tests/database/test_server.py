"""The server that the other tests run on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sandbox.tools import postgresql
from tests.database import server


def test_server_runs_from_a_folder_that_only_its_user_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's tests run the server as `nobody`, who can't read a checkout in root's home."""
    programs = shutil.copytree(postgresql(), tmp_path / "home" / "postgresql")
    (tmp_path / "home").chmod(0o700)
    monkeypatch.setattr(server, "postgresql", lambda: programs)
    with server.running() as started:
        assert started.create().run("root", "SELECT 1") == [(1,)]
