"""AWS list prices: `prices.yaml`, in which every price has a source."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from policy.values import read_yaml

FILE = Path(__file__).with_name("prices.yaml")

HOURS_A_MONTH = 730
"""The number that AWS's pricing calculator uses: 8,760 hours a year, divided by 12."""

ALL_REGIONS = "all"

Period = Literal["hour", "second", "month", "use"]

_PERIODS_A_MONTH: Mapping[Period, int] = {
    "hour": HOURS_A_MONTH,
    "second": HOURS_A_MONTH * 3600,
    "month": 1,
    "use": 1,
}


class PricesError(Exception):
    """Raised for an invalid file of prices. The text names the entry and what would be accepted."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Model):
    """Where prices were read."""

    where: str = Field(min_length=10)
    """A repository and path, or a page."""
    version: str = Field(min_length=4)
    """The commit or date of what was read."""


class Price(_Model):
    """One price."""

    item: str
    """What costs it, such as `nat-gateway`."""
    size: str = ""
    """The size, for items that have several: an instance class, for example."""
    region: str
    """An AWS Region, or `all`."""
    usd: Decimal = Field(gt=0)
    per: Period
    """What a quantity of 1 pays for: an hour, a second, a month, or one use. An item that is there all the
    time has a quantity of 1 for any period but `use`, whose quantity is the number of uses a month."""
    source: str
    """A key of `sources`."""

    @property
    def monthly(self) -> Decimal:
        """The price of a quantity of 1 for a month, in USD."""
        return self.usd * _PERIODS_A_MONTH[self.per]


class Prices(_Model):
    """All prices."""

    checked: datetime.date
    """The day on which the prices were read in their sources."""
    sources: Mapping[str, Source]
    prices: list[Price]

    def find(self, item: str, size: str, region: str | None) -> Price | None:
        """The price of an item in a Region, or None if there is none. Without a Region, only items with one
        price for all Regions have a price."""
        wanted = (item, size)
        found = {it.region: it for it in self.prices if (it.item, it.size) == wanted}
        return found.get(region or ALL_REGIONS) or found.get(ALL_REGIONS)


def load(path: Path = FILE) -> Prices:
    """Reads the prices.

    Raises:
        PricesError: the file is invalid, has two prices for the same thing, or names an unknown source.
    """
    try:
        document: Any = read_yaml(path)
        prices = Prices.model_validate(document)
    except OSError as error:
        raise PricesError(f"{path} can't be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise PricesError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from None
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
        raise PricesError(f"{path}: {'; '.join(problems)}") from None
    for (item, size, region), count in Counter((it.item, it.size, it.region) for it in prices.prices).items():
        if count > 1:
            raise PricesError(
                f"{path}: {' '.join(filter(None, (item, size)))} has {count} prices in region {region}; "
                "it must have one"
            )
    for price in prices.prices:
        if price.source not in prices.sources:
            known = ", ".join(sorted(prices.sources))
            raise PricesError(
                f"{path}: {price.item} has the source {price.source!r}; the sources are: {known}"
            )
    return prices
