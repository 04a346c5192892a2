"""Compare lightly measured and estimated cells with the same cells measured thoroughly.

    python benchmarks/estimates.py THOROUGH RUN...

Compares cells that are `light` or `estimated` in a RUN and `measured` or `unstable`, with at least
three visits, in THOROUGH: how far they are off, and whether their interval contains the value.
"""

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.format import format_duration
from coresplit.records import Cell, Run, Verdict
from coresplit.stats.fitting import variance_of
from coresplit.stats.noise import noise_floor
from coresplit.stats.sampling import FEWEST_VISITS, judged
from coresplit.stats.summary import Point, point_of

KINDS: tuple[Verdict, ...] = ("light", "estimated")


class Compared(msgspec.Struct, frozen=True):
    """A cell of a run, its relative error, and whether its interval contains the later value."""

    cell: Cell
    verdict: Verdict
    difference: float
    holds: bool


def main() -> None:
    thorough = load(Path(sys.argv[1]))
    there = {
        cell: point for cell, point in points_of(thorough).items() if point.visits >= FEWEST_VISITS
    }
    found: list[Compared] = []
    for path in sys.argv[2:]:
        run = load(Path(path))
        print(f"\n{run.name}: noise floor {noise_floor(run.journal) or float('nan'):.1%}\n")
        print(f"{'cell':<20}{'verdict':<11}{'run':>11}{'later':>11}{'differs':>9}  interval")
        found += compared(run, there)
    print()
    for kind in KINDS:
        summarize(kind, [each for each in found if each.verdict == kind])
    summarize("light or estimated", found)


def load(path: Path) -> Run:
    return judged(store.load(path))


def points_of(run: Run) -> dict[Cell, Point]:
    variance = variance_of(run)
    points = {each.cell: point_of(each, variance) for each in run.measurements}
    return {cell: point for cell, point in points.items() if point is not None}


def compared(run: Run, there: dict[Cell, Point]) -> list[Compared]:
    points, found = points_of(run), []
    for each in run.measurements:
        if each.verdict not in KINDS or each.cell not in there:
            continue
        here, later = points[each.cell], there[each.cell].latency
        holds = here.low <= later <= here.high
        difference = here.latency / later - 1
        found.append(Compared(each.cell, each.verdict, difference, holds))
        print(
            f"{each.cell!s:<20}{each.verdict:<11}{format_duration(here.latency):>11}"
            f"{format_duration(later):>11}{difference:>+9.1%}  "
            f"{'holds' if holds else 'misses'} "
            f"[{format_duration(here.low)}, {format_duration(here.high)}]"
        )
    return found


def summarize(what: str, found: Sequence[Compared]) -> None:
    if found:
        sizes = [abs(each.difference) for each in found]
        held = sum(each.holds for each in found)
        print(
            f"{what}: {len(found)} cells, off by {statistics.median(sizes):.1%} in the median and "
            f"{max(sizes):.1%} at most; {held} intervals hold ({held / len(found):.0%})"
        )


if __name__ == "__main__":
    main()
