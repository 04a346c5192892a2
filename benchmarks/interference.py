"""The slow-down of instances by busy neighbours, fitted to one model and tried on another.

    python benchmarks/interference.py FOLDER

FOLDER holds the tables published with the Packrat paper: `*-isolated-latency.csv` and
`*-together-latency.csv` of Inception and ResNet-50 on 16 cores. The rows of instances that ran
together come in groups of equal threads and batch; the latency of a group is that of its slowest
instance. It is predicted from the isolated table as it stands, and from the same table with the
slow-down that was fitted to the other model.
"""

import csv
import statistics
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from coresplit.planner.interference import Interference, Pair, calibrate

CORES = 16
ISOLATED = "{}-xeon6142-16c-isolated-latency.csv"
TOGETHER = "{}-xeon6142-16c-together-latency.csv"


class Group(msgspec.Struct, frozen=True):
    """Instances that ran together, and how long one of them takes alone (milliseconds)."""

    threads: int
    batch: int
    instances: int
    alone: float
    together: float

    @property
    def others(self) -> int:
        return (self.instances - 1) * self.threads

    @property
    def pair(self) -> Pair:
        return Pair(alone=self.alone, together=self.together, others=self.others, cores=CORES)


def main() -> None:
    folder = Path(sys.argv[1])
    groups = {name: read(folder, name) for name in ("inception", "resnet")}
    for fitted, tried in (("inception", "resnet"), ("resnet", "inception")):
        found = calibrate(group.pair for group in groups[fitted])
        assert found is not None
        show(fitted, tried, found, groups[tried])


def read(folder: Path, name: str) -> list[Group]:
    alone = {
        key(row): float(row["latency(avg)"])
        for row in rows(folder / ISOLATED.format(name))
        if row["benchmark"].endswith("script") and row["topology"] == "sequential"
    }
    found = []
    for (threads, batch), own in groupby(rows(folder / TOGETHER.format(name)), key):
        instances = list(own)
        found.append(
            Group(
                threads=threads,
                batch=batch,
                instances=max(int(row["instance_id"]) for row in instances),
                alone=alone[threads, batch],
                together=max(float(row["latency(avg)"]) for row in instances),
            )
        )
    return found


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def key(row: dict[str, str]) -> tuple[int, int]:
    return int(row["intraop_threads"]), int(row["batch_size"])


def show(fitted: str, tried: str, found: Interference, groups: Sequence[Group]) -> None:
    print(
        f"fitted to {found.pairs} groups of {fitted}: slope {found.slope:.3f}; tried on {tried}\n"
    )
    print(
        f"{'split':<14}{'together':>10}{'isolated':>10}{'error':>8}{'calibrated':>12}{'error':>8}"
    )
    errors: dict[str, list[float]] = {"isolated": [], "calibrated": []}
    for group in groups:
        calibrated = group.alone * found.factor(group.others, CORES)
        wrong = [value / group.together - 1 for value in (group.alone, calibrated)]
        split = f"<{group.instances}, {group.threads}, {group.batch}>"
        print(
            f"{split:<14}{group.together:>10.1f}{group.alone:>10.1f}{wrong[0]:>+8.1%}"
            f"{calibrated:>12.1f}{wrong[1]:>+8.1%}"
        )
        if group.others:
            errors["isolated"].append(abs(wrong[0]))
            errors["calibrated"].append(abs(wrong[1]))
    print("\nof the splits into two instances and more:")
    for name, values in errors.items():
        print(
            f"{name:<11} mean error {statistics.fmean(values):.1%}, "
            f"median {statistics.median(values):.1%}, largest {max(values):.1%}"
        )
    print()


if __name__ == "__main__":
    main()
