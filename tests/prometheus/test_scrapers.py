"""The scrapers' configurations, checked with Prometheus's own `promtool`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prometheus.tools import run
from tests.unit.harness import STACKS, platform


@pytest.mark.parametrize("stack", STACKS)
def test_scrapers_of_every_stack_are_well_formed(stack: str, tmp_path: Path) -> None:
    scrapers = platform(stack).of("aws:amp/scraper:Scraper")
    assert scrapers
    for scraper in scrapers:
        (tmp_path / "prometheus.yaml").write_text(scraper.inputs["scrapeConfiguration"])
        run(tmp_path, "promtool", "check", "config", "--lint=all", "--lint-fatal", "prometheus.yaml")
