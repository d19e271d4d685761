"""Settings of tier 1, the web tier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from settings.aws_limits import RATE_LIMIT_MAX, RATE_LIMIT_MIN
from settings.countries import Country
from settings.model import Broken, Model, duplicate, rule


class WebSettings(Model):
    """CloudFront and its protection."""

    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] = "PriceClass_All"
    rate_limit: int = Field(default=2000, ge=RATE_LIMIT_MIN, le=RATE_LIMIT_MAX)
    """Requests from one IP address within five minutes before WAF blocks it."""
    allowed_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of the countries that are served. An empty list allows all."""
    blocked_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of countries that are not served. Can't be combined with
    `allowedCountries`."""
    shield_advanced: bool = False
    """Whether AWS Shield Advanced protects the distribution. It costs 3,000 USD a month with a commitment of
    one year (AWS Shield pricing). The account must already be subscribed to it."""

    @rule
    def _one_list_of_countries(self) -> Iterator[Broken]:
        if self.allowed_countries and self.blocked_countries:
            yield Broken(
                "allowedCountries and blockedCountries exclude each other, because every country that is not "
                "allowed is blocked: give only one of them"
            )
        for key, countries in (
            ("allowedCountries", self.allowed_countries),
            ("blockedCountries", self.blocked_countries),
        ):
            if found := duplicate(key, countries):
                yield Broken(found)
