"""Tier 1: web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from settings.countries import Country
from settings.model import Broken, Model, duplicate, rule


class WebSettings(Model):
    """CloudFront and what stands before it."""

    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] = "PriceClass_All"
    rate_limit: int = Field(default=2000, ge=10, le=2_000_000_000)
    """Requests per five minutes from one IP address before WAF blocks it."""
    allowed_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of the only countries that are served; none means all."""
    blocked_countries: list[Country] = []
    """ISO 3166-1 alpha-2 codes of countries that are not served. Excludes `allowedCountries`."""
    shield_advanced: bool = False
    """AWS Shield Advanced costs 3,000 USD a month with a commitment of one year (AWS Shield pricing). The
    account must be subscribed to it already: this only puts the distribution under its protection."""

    @rule
    def _one_list_of_countries(self) -> Iterator[Broken]:
        if self.allowed_countries and self.blocked_countries:
            yield Broken(
                "allowedCountries and blockedCountries exclude each other: what is not allowed is blocked "
                "already; give one of them"
            )
        for key, countries in (
            ("allowedCountries", self.allowed_countries),
            ("blockedCountries", self.blocked_countries),
        ):
            if found := duplicate(key, countries):
                yield Broken(found)
