"""Lightly measured and estimated cells of a run against the same cells measured thoroughly.

    python benchmarks/estimates.py RUN THOROUGH...

Cells that THOROUGH measured with at least as many forwards as RUN are compared. Light cells are
judged by their difference; estimated ones also by whether their interval holds the value.
"""

import statistics
import sys
from pathlib import Path

from coresplit import store
from coresplit.records import Cell, Measurement, Verdict
from coresplit.stats.noise import noise_floor
from coresplit.stats.summary import point_of
from coresplit.units import format_duration

SMALL = 128


def main() -> None:
    run = store.load(Path(sys.argv[1]))
    thorough: dict[Cell, Measurement] = {}
    for path in sys.argv[2:]:
        loaded = store.load(Path(path))
        thorough.update({each.cell: each for each in loaded.measurements if each.samples})
        print(f"noise floor of {path}: {noise_floor(loaded.journal) or float('nan'):.1%}")
    print(f"noise floor of {sys.argv[1]}: {noise_floor(run.journal) or float('nan'):.1%}\n")
    print(f"{'cell':<20}{'verdict':<11}{'run':>11}{'later':>11}{'differs':>9}  samples  interval")
    rows = [
        row
        for each in run.measurements
        if each.cell in thorough and (row := compare(each, thorough[each.cell])) is not None
    ]
    small = [abs(row[1]) for row in rows if row[0].cell.batch <= SMALL]
    summarize(f"light or estimated, to batch {SMALL}", small)
    estimated = [row for row in rows if row[0].verdict == "estimated"]
    summarize("estimated", [abs(row[1]) for row in estimated])
    if estimated:
        held = sum(row[2] for row in estimated)
        print(f"intervals that hold the later value: {held} of {len(estimated)}")


def compare(before: Measurement, after: Measurement) -> tuple[Measurement, float, bool] | None:
    judged: tuple[Verdict, ...] = ("light", "estimated")
    there, here = point_of(before), point_of(after)
    if before.verdict not in judged or there is None or here is None:
        return None
    if len(after.samples) < len(before.samples):
        return None
    difference = there.latency / here.latency - 1
    held = there.low <= here.latency <= there.high
    print(
        f"{before.cell!s:<20}{before.verdict:<11}{format_duration(there.latency):>11}"
        f"{format_duration(here.latency):>11}{difference:>+9.1%}"
        f"{len(before.samples):>5}/{len(after.samples):<4}"
        f"{'holds' if held else 'misses'} [{format_duration(there.low)}, "
        f"{format_duration(there.high)}]"
    )
    return before, difference, held


def summarize(what: str, differences: list[float]) -> None:
    if differences:
        print(
            f"{what}: {len(differences)} cells, median {statistics.median(differences):.1%}, "
            f"largest {max(differences):.1%}"
        )


if __name__ == "__main__":
    main()
