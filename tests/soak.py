"""What the commands of `make soak` have in common: rounds of generated histories until the time is over.

Each round uses another seed, so that a soak finds what the fixed seed of `make test` doesn't.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping


def parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """The options that both commands have."""
    found = argparse.ArgumentParser(prog=f"python -m {command}", description=description)
    found.add_argument("--minutes", type=float, default=10)
    found.add_argument(
        "--seed", type=int, default=int(time.time()), help="to repeat a soak (default: a new one each time)"
    )
    return found


def rounds(options: argparse.Namespace, histories: int, play: Callable[[int], None]) -> None:
    """Plays rounds of `histories` each. `play` gets the round's seed, and raises an error for a violation."""
    started = time.monotonic()
    done, seed = 0, options.seed
    print(f"the first seed is {seed + 1}", flush=True)
    while time.monotonic() - started < options.minutes * 60:
        seed += 1
        play(seed)
        done += histories
        minutes = (time.monotonic() - started) / 60
        print(
            f"{done} histories in {minutes:.1f} min ({done / minutes:.0f} a minute), no violation", flush=True
        )


def show(seen: Mapping[str, int]) -> None:
    """Prints what the histories contained, and how often."""
    for what, count in sorted(seen.items()):
        print(f"{count:8} {what}")
