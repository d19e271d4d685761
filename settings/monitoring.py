"""Tier 9: monitoring."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from settings.api import INTEGRATION_TIMEOUT_SECONDS
from settings.model import Model, refuse_duplicates

RetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]


class ObjectiveSettings(Model):
    """What those who place orders may expect, over 30 days in each region."""

    availability: float = Field(default=0.999, gt=0.95, lt=1)
    """Share of orders that do not fail on our side."""
    latency: float = Field(default=0.99, gt=0.95, lt=1)
    """Share of orders that are answered within `latencyMs`."""
    latency_ms: int = Field(default=1000, ge=50, le=INTEGRATION_TIMEOUT_SECONDS * 1000)
    """Milliseconds, measured at API Gateway, which gives up after 29,000."""


class SlackSettings(Model):
    """A Slack channel, in a workspace that the account has authorized once in the console of Amazon Q
    Developer in chat applications."""

    workspace_id: str = Field(pattern=r"^T[A-Z0-9]{8,}$", examples=["T0123ABCD"])
    """Slack's id of the workspace."""
    channel_id: str = Field(pattern=r"^[CG][A-Z0-9]{8,}$", examples=["C0123ABCD"])
    """Slack's id of the channel; a private one must have invited the application."""


class SpendingSettings(Model):
    """What the platform may cost."""

    monthly_usd: int = Field(ge=1)
    """USD of a calendar month. A warning comes at 80 % of it, and when the forecast is above it."""
    anomaly_usd: int = Field(default=100, ge=1)
    """USD by which spending is out of the ordinary before it is told."""


class OrderCanarySettings(Model):
    """What the canary's orders are for. The order service must know both, and hand none of these orders on:
    `docs/operations.md`, section order-canary."""

    account_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["canary"])
    """An account of the canary's own, without buying power."""
    symbol: str = Field(pattern=r"^[A-Z0-9][A-Z0-9.-]{0,19}$", examples=["ZVZZT"])
    """A test symbol of the venue, in which nothing real is traded."""


class MonitoringSettings(Model):
    """Logs, metrics and alarms."""

    objectives: ObjectiveSettings = ObjectiveSettings()
    slack: SlackSettings | None = None
    """Where alarms are shown beside the e-mails."""
    spending: SpendingSettings | None = None
    """Without it nobody is told of what the platform costs."""
    canary: OrderCanarySettings | None = None
    """Places a test order every minute and tells whether it was accepted; without it nothing does."""
    log_retention_days: RetentionDays = 365
    alarm_emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = []
    """Addresses that every alarm is sent to; each must confirm once."""

    @field_validator("alarm_emails")
    @classmethod
    def _distinct_addresses(cls, addresses: list[str]) -> list[str]:
        refuse_duplicates("address", addresses)
        return addresses
