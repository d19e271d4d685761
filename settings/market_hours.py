"""The hours in which the market trades, and when they are in UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator

from settings.model import Broken, Model, refuse_duplicates, rule

Weekday = Literal["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_WEEK: tuple[Weekday, ...] = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_MINUTES = 24 * 60

ClockTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:30"])]


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a name of the IANA time zone database, such as America/New_York") from None
    return name


@dataclass(frozen=True)
class UtcWindow:
    """A recurring time, in the form of Karpenter's disruption budgets."""

    schedule: str
    """The start in UTC, as a cron expression: minute, hour, and the days of the week."""
    duration: str
    """Hours and minutes, such as `6h30m`."""


class MarketHours(Model):
    """The hours in which nodes aren't replaced to save cost or to update them."""

    days: list[Weekday] = Field(default=["mon", "tue", "wed", "thu", "fri"], min_length=1)
    """The days on which the market opens."""
    opens: ClockTime = "09:30"
    closes: ClockTime = "16:00"
    """A time before `opens` is on the following day."""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "America/New_York"
    """Time zone of `days`, `opens` and `closes`, as named in the IANA time zone database."""

    @field_validator("days")
    @classmethod
    def _distinct_days(cls, days: list[Weekday]) -> list[Weekday]:
        refuse_duplicates("day", days)
        return days

    @rule
    def _closes_some_time(self) -> Iterator[Broken]:
        if self.opens == self.closes:
            yield Broken(
                f"opens and closes are both {self.opens}: give different times, or `marketHours: null` if "
                "nodes may be replaced at any time"
            )

    def utc(self, year: int) -> list[UtcWindow]:
        """The same hours in UTC, in which Karpenter's budgets are written.

        There is one window for each offset from UTC that the time zone has in the year. All of them apply all
        year, so hours that daylight saving time moves are covered in summer and in winter.
        """
        zone = ZoneInfo(self.time_zone)
        offsets = {dt.datetime(year, month, 1, tzinfo=zone).utcoffset() for month in range(1, 13)}
        return [self._window(offset) for offset in sorted(offset for offset in offsets if offset is not None)]

    def _window(self, offset: dt.timedelta) -> UtcWindow:
        start = _minutes(self.opens) - int(offset.total_seconds()) // 60
        shift, minute = divmod(start, _DAY_MINUTES)  # the UTC day can be the previous or the next one
        days = sorted((_WEEK.index(day) + shift) % len(_WEEK) for day in self.days)
        length = (_minutes(self.closes) - _minutes(self.opens)) % _DAY_MINUTES
        return UtcWindow(
            schedule=f"{minute % 60} {minute // 60} * * {','.join(_WEEK[day] for day in days)}",
            duration=f"{length // 60}h{length % 60}m",
        )


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
