"""Reports every minute that a deployment runs, so that alarms that a healthy deployment can trigger notify
nobody: see the alarm `deployment-runs` in docs/operations.md."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType

NAMESPACE = "Trading/Deployments"
METRIC = "Running"
DIMENSION = "Platform"

INTERVAL = 60
"""Seconds between two reports. The alarm's period is as long."""

TIMEOUT = 30
"""Seconds after which a report is given up."""


class Heartbeat:
    """Reports the metric in every region until the block ends, whatever becomes of single reports.

    A report that fails is printed when it first fails in a region, and when it works again.
    """

    def __init__(self, platform: str, regions: Sequence[str], interval: float = INTERVAL) -> None:
        self._platform, self._regions, self._interval = platform, regions, interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._failing: set[str] = set()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(TIMEOUT)

    @property
    def beats(self) -> bool:
        """Whether it still reports."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while True:
            for region in self._regions:
                self._report(region)
            if self._ended.wait(self._interval):
                return

    def _report(self, region: str) -> None:
        data = f"MetricName={METRIC},Value=1,Dimensions=[{{Name={DIMENSION},Value={self._platform}}}]"
        command = ["aws", "cloudwatch", "put-metric-data", "--region", region]
        try:
            subprocess.run(
                [*command, "--namespace", NAMESPACE, "--metric-data", data],
                check=True,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except (subprocess.SubprocessError, OSError) as error:
            if region not in self._failing:
                self._failing.add(region)
                reason = (getattr(error, "stderr", None) or str(error)).strip()[-500:]
                _say(f"can't report the deployment in {region}, so that alarms may ring during it: {reason}")
        else:
            if region in self._failing:
                self._failing.remove(region)
                _say(f"the deployment is reported in {region} again")


def _say(text: str) -> None:
    print(f"heartbeat: {text}", file=sys.stderr, flush=True)
