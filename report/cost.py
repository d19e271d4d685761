"""`python -m report.cost`: the fixed monthly cost of a stack at AWS's list prices.

A type of resource is in one of three classes: it has a fixed price (`report.usage`), it costs by traffic,
or it costs nothing (`report.price_classes`). Everything else, and everything whose price or quantity is not
known, is reported as unpriced and never counted as zero. Groups that scale count with their minimum size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from policy.scan.plan import State
from report.planned import PlannedError, planned, region_of, resources
from report.price_classes import BY_TRAFFIC, FREE
from report.prices import Price, Prices, PricesError, load
from report.tiers import TIERS, tier_of
from report.usage import Resource, UnclearError, uses

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """What several resources of a tier cost together."""

    item: str
    """An item of `prices.yaml`."""
    size: str
    """An instance class, for example; empty for items without sizes."""
    tier: str
    region: str
    quantity: Decimal
    price: Price
    monthly: Decimal
    """USD a month."""


@dataclass(frozen=True)
class Unpriced:
    """What costs a fixed amount that is not known."""

    what: str
    """A type, or an item with its size."""
    tier: str
    region: str
    quantity: Decimal | None
    """In the item's unit, or None if it is not known either."""
    reason: str


@dataclass(frozen=True)
class Estimate:
    """The fixed cost of a stack. It is a lower limit as long as something is unpriced."""

    total: Decimal
    """USD a month."""
    by_tier: Mapping[str, Decimal]
    """Tier → USD a month. Tiers without a cost are left out."""
    lines: Sequence[Line]
    """The most expensive first."""
    unpriced: Sequence[Unpriced]
    by_traffic: Mapping[str, int]
    """Type → number of resources. `report.price_classes.BY_TRAFFIC` says what their cost depends on."""


def estimate(items: Iterable[State], prices: Prices | None = None) -> Estimate:
    """The fixed monthly cost of resources, as `report.planned` or `pulumi stack export` lists them.

    Args:
        items: all resources of a stack, with its providers.
        prices: the prices; by default those of `prices.yaml`.

    Raises:
        PricesError: the file of prices is invalid.
    """
    prices = prices or load()
    known = {item["urn"]: item for item in items}
    quantities: defaultdict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    unpriced: list[Unpriced] = []
    by_traffic: defaultdict[str, int] = defaultdict(int)
    for item in known.values():
        kind = item["type"]
        if kind in BY_TRAFFIC:
            by_traffic[kind] += 1
        elif kind.startswith("aws:") and kind not in FREE:
            place = tier_of(item["urn"]), region_of(item, known) or ""
            try:
                for use in uses(Resource(item, known)):
                    quantities[use.item, use.size, *place] += use.quantity
            except UnclearError as error:
                unpriced.append(Unpriced(f"{kind} {_name(item)}", *place, None, str(error)))
    lines: list[Line] = []
    for (item_name, size, tier, region), quantity in quantities.items():
        if price := prices.find(item_name, size, region):
            lines.append(Line(item_name, size, tier, region, quantity, price, quantity * price.monthly))
        elif quantity:
            reason = f"report/prices.yaml has no price for it in {region or 'an unknown region'}"
            what = f"{item_name} {size}".rstrip()
            unpriced.append(Unpriced(what, tier, region, quantity, reason))
    return _estimate(lines, unpriced, by_traffic)


def _estimate(lines: Iterable[Line], unpriced: Iterable[Unpriced], by_traffic: Mapping[str, int]) -> Estimate:
    ordered = sorted(
        (it for it in lines if it.monthly),
        key=lambda it: (-it.monthly, TIERS.index(it.tier), it.item, it.size, it.region),
    )
    by_tier: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in ordered:
        by_tier[line.tier] += line.monthly
    return Estimate(
        total=sum(by_tier.values(), Decimal(0)),
        by_tier={tier: by_tier[tier] for tier in TIERS if tier in by_tier},
        lines=ordered,
        unpriced=sorted(unpriced, key=lambda it: (TIERS.index(it.tier), it.what, it.region)),
        by_traffic=dict(sorted(by_traffic.items())),
    )


def _name(item: State) -> str:
    return item["urn"].rpartition("::")[2]


def cents(usd: Decimal) -> Decimal:
    """An amount, rounded to cents."""
    return usd.quantize(_CENT, ROUND_HALF_UP)


def shown(usd: Decimal) -> str:
    """An amount for people: `$1,234.50`."""
    return f"${cents(usd):,}"


def as_json(made: Estimate) -> dict[str, Any]:
    """The estimate in the form of `--json`. Amounts are strings in USD a month, rounded to cents."""
    return {
        "total": str(cents(made.total)),
        "byTier": {tier: str(cents(usd)) for tier, usd in made.by_tier.items()},
        "lines": [
            {
                "item": it.item,
                "size": it.size,
                "tier": it.tier,
                "region": it.region,
                "quantity": _plain(it.quantity),
                "usd": str(it.price.usd),
                "per": it.price.per,
                "source": it.price.source,
                "monthly": str(cents(it.monthly)),
            }
            for it in made.lines
        ],
        "unpriced": [
            {
                "what": it.what,
                "tier": it.tier,
                "region": it.region,
                "quantity": None if it.quantity is None else _plain(it.quantity),
                "reason": it.reason,
            }
            for it in made.unpriced
        ],
        "byTraffic": {
            kind: {"resources": count, "by": BY_TRAFFIC[kind]} for kind, count in made.by_traffic.items()
        },
    }


def as_text(made: Estimate, what: str, prices: Prices) -> str:
    """The estimate as a table: the most expensive tier first, then what is not in the sum."""
    more = ", and what is unpriced below" if made.unpriced else ""
    lines = [f"{what} costs {shown(made.total)} a month{more} (list prices read on {prices.checked})."]
    for tier, usd in sorted(made.by_tier.items(), key=lambda entry: -entry[1]):
        lines += ["", f"{tier:60}{shown(usd):>14}"]
        lines += [_row(line) for line in made.lines if line.tier == tier]
    if made.unpriced:
        lines += ["", "Unpriced, so not in the sum:"]
        lines += [f"  {it.tier}: {_quantity(it)}{it.what}: {it.reason}" for it in made.unpriced]
    if made.by_traffic:
        lines += ["", "By traffic, so not in the sum:"]
        lines += [f"  {count} x {kind}: {BY_TRAFFIC[kind]}" for kind, count in made.by_traffic.items()]
    return "\n".join(lines)


def _row(line: Line) -> str:
    name = f"{line.item} {line.size}".rstrip()
    calculation = f"{_plain(line.quantity)} x {line.price.usd} a {line.price.per}"
    return f"  {name:38}{line.region:12}{calculation:28}{cents(line.monthly):>12,}"


def _quantity(it: Unpriced) -> str:
    return "" if it.quantity is None else f"{_plain(it.quantity)} x "


def _plain(number: Decimal) -> str:
    """A number without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def main(arguments: Sequence[str]) -> int:
    """Prints the cost of one stack, and returns the exit status: 2 if there is nothing to estimate."""
    options = _parser().parse_args(arguments)
    try:
        prices = load()
        made = estimate(_state(options), prices)
    except (PlannedError, PricesError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(as_json(made), indent=2))
    else:
        print(as_text(made, "The state" if options.state else f"Stack {options.stack}", prices))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m report.cost", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--stack", default="local", help="a stack with a Pulumi.<stack>.yaml (default: local)"
    )
    parser.add_argument(
        "--state",
        metavar="FILE",
        help="the output of `pulumi stack export` or `pulumi preview --json --show-sames` for any other "
        "stack; - reads standard input",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _state(options: argparse.Namespace) -> list[State]:
    if not options.state:
        return planned(options.stack)
    try:
        text = sys.stdin.read() if options.state == "-" else Path(options.state).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PlannedError(f"{options.state} can't be read: {error}") from None
    return resources(text, options.state)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
