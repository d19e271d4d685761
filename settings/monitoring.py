"""Settings of tier 9, monitoring."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from settings.aws_limits import INTEGRATION_TIMEOUT_SECONDS, RetentionDays
from settings.model import Model, refuse_duplicates


class ObjectiveSettings(Model):
    """Service level objectives for placing orders, over 30 days in each region."""

    availability: float = Field(default=0.999, gt=0.95, lt=1)
    """Share of orders that don't fail because of the platform."""
    latency: float = Field(default=0.99, gt=0.95, lt=1)
    """Share of orders that are answered within `latencyMs`."""
    latency_ms: int = Field(default=1000, ge=50, le=INTEGRATION_TIMEOUT_SECONDS * 1000)
    """Milliseconds, measured at API Gateway, which times out after 29,000."""


class SlackSettings(Model):
    """A Slack channel. The account must have authorized the workspace once, in the console of Amazon Q
    Developer in chat applications."""

    workspace_id: str = Field(pattern=r"^T[A-Z0-9]{8,}$", examples=["T0123ABCD"])
    """Slack's id of the workspace."""
    channel_id: str = Field(pattern=r"^[CG][A-Z0-9]{8,}$", examples=["C0123ABCD"])
    """Slack's id of the channel. A private channel must have invited the application."""


class SpendingSettings(Model):
    """Budget of the platform."""

    monthly_usd: int = Field(ge=1)
    """Budget of a calendar month, in USD. A warning is sent at 80 %, and when the forecast exceeds it."""
    anomaly_usd: int = Field(default=100, ge=1)
    """Smallest cost anomaly that is reported, in USD above the expected spending."""


class OrderCanarySettings(Model):
    """Account and symbol of the canary's test orders. The order service must know both as tests and must not
    pass such orders on: `docs/operations.md`, section order-canary."""

    account_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["canary"])
    """An account that only the canary uses, without buying power."""
    symbol: str = Field(pattern=r"^[A-Z0-9][A-Z0-9.-]{0,19}$", examples=["ZVZZT"])
    """A test symbol of the venue, with which nothing real is traded."""


class MonitoringSettings(Model):
    """Logs, alarms, spending and the canary."""

    objectives: ObjectiveSettings = ObjectiveSettings()
    slack: SlackSettings | None = None
    """Slack channel that receives alarms in addition to the e-mails."""
    spending: SpendingSettings | None = None
    """Alerts on the platform's cost. Without it, there are none."""
    canary: OrderCanarySettings | None = None
    """Places a test order every minute and reports whether it was accepted. Without it, there are no test
    orders."""
    log_retention_days: RetentionDays = 365
    alarm_emails: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = []
    """Addresses that receive every alarm. Each must confirm its subscriptions once."""

    @field_validator("alarm_emails")
    @classmethod
    def _distinct_addresses(cls, addresses: list[str]) -> list[str]:
        refuse_duplicates("address", addresses)
        return addresses
