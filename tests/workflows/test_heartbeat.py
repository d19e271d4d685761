"""The heartbeat of a deployment: it survives failing calls, and ends with the deployment."""

from __future__ import annotations

import time
from pathlib import Path

import heartbeat
import pytest
from heartbeat import Heartbeat

from components.monitoring.monitoring import DEPLOYMENTS_NAMESPACE
from tests.workflows.programs import Programs


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return Programs(tmp_path / "bin", monkeypatch)


def wait_for(programs: Programs, calls: int) -> None:
    end = time.monotonic() + 20
    while len(programs.calls("aws")) < calls:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_metric_is_the_one_that_the_suppressor_listens_to(programs: Programs) -> None:
    programs.add("aws")
    with Heartbeat("trading-prod", ["us-east-1", "eu-west-1"]):
        wait_for(programs, 2)
    first, second = programs.calls("aws")
    assert first == [
        *("cloudwatch", "put-metric-data", "--region", "us-east-1", "--namespace", DEPLOYMENTS_NAMESPACE),
        *("--metric-data", "MetricName=Running,Value=1,Dimensions=[{Name=Platform,Value=trading-prod}]"),
    ]
    assert second[3] == "eu-west-1"


def test_heartbeat_survives_failing_calls(programs: Programs, capfd: pytest.CaptureFixture[str]) -> None:
    programs.add("aws", "if call < 4:\n    sys.exit('Throttling: Rate exceeded')\n")
    with Heartbeat("trading-dev", ["us-east-1"], interval=0.01):
        wait_for(programs, 6)
    errors = capfd.readouterr().err.splitlines()
    assert errors == [
        "heartbeat: can't report the deployment in us-east-1, so that alarms may ring during it: "
        "Throttling: Rate exceeded",
        "heartbeat: the deployment is reported in us-east-1 again",
    ]


def test_heartbeat_survives_a_call_that_hangs(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "TIMEOUT", 0.5)
    programs.add("aws", "if call == 1:\n    time.sleep(60)\n")
    with Heartbeat("trading-dev", ["us-east-1", "eu-west-1"], interval=0.01):
        wait_for(programs, 4)


def test_heartbeat_survives_a_missing_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Heartbeat("trading-dev", ["us-east-1"], interval=0.01) as beat:
        time.sleep(0.1)
        assert beat.beats


def test_heartbeat_ends_with_the_deployment_even_if_it_fails(programs: Programs) -> None:
    programs.add("aws")
    with pytest.raises(RuntimeError), Heartbeat("trading-dev", ["us-east-1"], interval=0.01) as beat:  # noqa: PT012
        wait_for(programs, 2)
        raise RuntimeError
    assert not beat.beats
    calls = len(programs.calls("aws"))
    time.sleep(0.2)
    assert len(programs.calls("aws")) == calls
