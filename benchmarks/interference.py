"""The slow-down of instances by busy neighbours, fitted to one model and tested on the other.

    python benchmarks/interference.py FOLDER

FOLDER contains the tables published with the Packrat paper: `*-isolated-latency.csv` and
`*-together-latency.csv` of Inception and ResNet-50 on 16 cores. The rows of instances that ran
together come in groups of equal threads and batch, each after one fat instance of the same batch;
the latency of a group is that of its slowest instance. It is predicted from the isolated table:
unchanged, slower by one constant factor, and with the slow-down that the planner fits. Its speedup
over fat is predicted the same way, from isolated cells of both. Then other forms of the slow-down
are tested, each fitted by least squares on log ratios.
"""

import csv
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from coresplit.planner.interference import Pair, calibrate

CORES = 16
ISOLATED = "{}-xeon6142-16c-isolated-latency.csv"
TOGETHER = "{}-xeon6142-16c-together-latency.csv"


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that ran together, and how long one of them takes alone (milliseconds).

    ``fat`` is the time of one instance on all cores for the same inputs: in the isolated table, and
    in the table of instances that ran together. ``first`` is the time of a batch of the same size
    alone on one thread, ``wide`` on all cores.
    """

    threads: int
    batch: int
    instances: int
    alone: float
    together: float
    fat: tuple[float, float]
    first: float
    wide: float

    @property
    def others(self) -> int:
        return (self.instances - 1) * self.threads

    @property
    def share(self) -> float:
        return self.others / CORES

    @property
    def pair(self) -> Pair:
        return Pair(alone=self.alone, together=self.together, others=self.others, cores=CORES)

    @property
    def slower(self) -> float:
        """Logarithm of the slow-down when running together."""
        return math.log(self.together / self.alone)


Factor = Callable[[Group], float]
"""The predicted slow-down of a group: its latency together over alone."""

Terms = Callable[[Group, float], tuple[float, ...]]
"""The terms in which the logarithm of a factor is linear, given the bend of the form."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A form of the slow-down: a coefficient for each term, and optionally a bend to search for."""

    name: str
    terms: Terms
    bends: tuple[float, ...] = ()

    def parameters(self, group: Group) -> int:
        return len(self.terms(group, 1.0)) + bool(self.bends)

    def fitted(self, groups: Sequence[Group]) -> Factor:
        """Fit the coefficients and the bend by least squares on log ratios."""
        wanted = np.array([group.slower for group in groups])
        best = math.inf
        factor: Factor = isolated
        for bend in self.bends or (1.0,):
            terms = np.array([self.terms(group, bend) for group in groups])
            found = np.linalg.lstsq(terms, wanted, rcond=None)[0]
            left = float(np.sum((terms @ found - wanted) ** 2))
            if left < best:
                best, factor = left, self._factor([float(each) for each in found], bend)
        return factor

    def _factor(self, coefficients: Sequence[float], bend: float) -> Factor:
        def factor(group: Group) -> float:
            terms = self.terms(group, bend)
            return math.exp(sum(a * b for a, b in zip(coefficients, terms, strict=True)))

        return factor


def thread_cost(group: Group) -> float:
    """Logarithm of the core time of an input on all cores over that on one thread."""
    return math.log(CORES * group.wide / group.first)


def fat_cost(group: Group) -> float:
    """Logarithm of the core time of fat over that of the instances, all measured alone."""
    return math.log(group.fat[0] / group.alone)


def isolated(group: Group) -> float:
    return 1.0


def exact(group: Group) -> float:
    return group.together / group.alone


BENDS = tuple(cores / CORES for cores in range(1, CORES))
INPUTS = tuple(2.0**power for power in range(10))
POWERS = tuple(step / 10 for step in range(1, 31))
CONSTANT = Form(name="a constant", terms=lambda g, k: (1.0,))
FORMS = (
    CONSTANT,
    Form(name="s x (the planner's)", terms=lambda g, k: (g.share,)),
    Form(name="c + s x", terms=lambda g, k: (1.0, g.share)),
    Form(name="s x^k", terms=lambda g, k: (g.share**k,), bends=POWERS),
    Form(name="s min(x, k)", terms=lambda g, k: (min(g.share, k),), bends=BENDS),
    Form(
        name="s max(0, x - k)",
        terms=lambda g, k: (max(0.0, g.share - k),),
        bends=(0.0, *BENDS[:7]),
    ),
    Form(name="s (1 - exp(-x/k))", terms=lambda g, k: (1 - math.exp(-g.share / k),), bends=BENDS),
    Form(name="s log(1 + x/k)", terms=lambda g, k: (math.log(1 + g.share / k),), bends=BENDS),
    Form(name="s log i", terms=lambda g, k: (math.log(g.instances),)),
    Form(name="s x + c log i", terms=lambda g, k: (g.share, math.log(g.instances))),
    Form(name="x (s + c log t)", terms=lambda g, k: over(g, math.log(g.threads))),
    Form(name="x (s + c log b)", terms=lambda g, k: over(g, math.log(g.batch))),
    Form(
        name="x (s + c log ib)",
        terms=lambda g, k: over(g, math.log(g.instances * g.batch)),
    ),
    Form(
        name="x (s + c log b + d log^2 b)",
        terms=lambda g, k: over(g, math.log(g.batch), math.log(g.batch) ** 2),
    ),
    Form(
        name="x (s + c log t + d log b)",
        terms=lambda g, k: over(g, math.log(g.threads), math.log(g.batch)),
    ),
    Form(
        name="x (s + c [ib >= k])",
        terms=lambda g, k: over(g, float(g.instances * g.batch >= k)),
        bends=INPUTS[4:],
    ),
    Form(
        name="x s ib/(ib + k)",
        terms=lambda g, k: (g.share / (1 + k / (g.instances * g.batch)),),
        bends=(0.0, *INPUTS),
    ),
    Form(
        name="x (s + c log a)",
        terms=lambda g, k: over(g, math.log(g.threads * g.alone / g.batch)),
    ),
    Form(name="x (s + c log w)", terms=lambda g, k: over(g, thread_cost(g))),
    Form(
        name="x (s + c log w + d log b)",
        terms=lambda g, k: over(g, thread_cost(g), math.log(g.batch)),
    ),
    Form(name="x (s + c log f)", terms=lambda g, k: over(g, fat_cost(g))),
    Form(
        name="x (s + c log f + d log b)",
        terms=lambda g, k: over(g, fat_cost(g), math.log(g.batch)),
    ),
)


def over(group: Group, *terms: float) -> tuple[float, ...]:
    """Return one and the terms, each times the share of the cores that others keep busy."""
    return (group.share, *(group.share * term for term in terms))


def main() -> None:
    folder = Path(sys.argv[1])
    groups = {name: read(folder, name) for name in ("inception", "resnet")}
    splits = {name: [one for one in own if one.others] for name, own in groups.items()}
    for fitted, tried in (("inception", "resnet"), ("resnet", "inception")):
        show(fitted, tried, splits[fitted], groups[tried])
    show_forms(splits["inception"], splits["resnet"])


def read(folder: Path, name: str) -> list[Group]:
    alone = {
        key(row): float(row["latency(avg)"])
        for row in rows(folder / ISOLATED.format(name))
        if row["benchmark"].endswith("script") and row["topology"] == "sequential"
    }
    found: list[Group] = []
    for (threads, batch), own in groupby(rows(folder / TOGETHER.format(name)), key):
        instances = list(own)
        together = max(float(row["latency(avg)"]) for row in instances)
        count = max(int(row["instance_id"]) for row in instances)
        itself = alone[threads, batch], together
        found.append(
            Group(
                threads=threads,
                batch=batch,
                instances=count,
                alone=alone[threads, batch],
                together=together,
                fat=itself if count == 1 else found[-1].fat,
                first=alone[1, batch],
                wide=alone[CORES, batch],
            )
        )
        assert count == 1 or found[-2].batch == count * batch
    return found


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def key(row: dict[str, str]) -> tuple[int, int]:
    return int(row["intraop_threads"]), int(row["batch_size"])


def show(fitted: str, tried: str, source: Sequence[Group], groups: Sequence[Group]) -> None:
    found = calibrate(group.pair for group in source)
    assert found is not None
    constant = CONSTANT.fitted(source)
    factors: dict[str, Factor] = {
        "isolated": isolated,
        "constant": constant,
        "calibrated": lambda group: found.factor(group.others, CORES),
    }
    print(
        f"fitted to {found.pairs} groups of {fitted}: slope {found.slope:.3f}, constant factor "
        f"{constant(source[0]):.3f}; tried on {tried}\n"
    )
    print(
        f"{'split':<14}{'together':>10}{'isolated':>10}{'error':>8}{'calibrated':>12}{'error':>8}"
        f"{'speedup over fat':>18}{'isolated':>10}{'calibrated':>12}"
    )
    for group in groups:
        show_group(group, factors)
    print("\nof the splits into two instances and more, predicted over measured, less one:")
    summarize(factors, [group for group in groups if group.others])
    print()


def show_group(group: Group, factors: Mapping[str, Factor]) -> None:
    calibrated = factors["calibrated"]
    split = f"<{group.instances}, {group.threads}, {group.batch}>"
    line = (
        f"{split:<14}{group.together:>10.1f}{group.alone:>10.1f}"
        f"{latency_error(group, isolated):>+8.1%}{group.alone * calibrated(group):>12.1f}"
        f"{latency_error(group, calibrated):>+8.1%}"
    )
    if group.others:
        line += f"{group.fat[1] / group.together:>18.2f}"
        line += f"{group.fat[0] / group.alone:>10.2f}"
        line += f"{group.fat[0] / group.alone / calibrated(group):>12.2f}"
    print(line)


def summarize(factors: Mapping[str, Factor], groups: Sequence[Group]) -> None:
    """Print errors of latencies and speedups, and those of speedups with splits known exactly."""
    for what, error in (("latency", latency_error), ("speedup over fat", speedup_error)):
        for name, factor in {**factors, "exact split": exact}.items():
            sizes = [abs(error(group, factor)) for group in groups]
            if max(sizes) > 0:
                print(
                    f"{what:<17} {name:<12} mean error {statistics.fmean(sizes):.1%}, "
                    f"median {statistics.median(sizes):.1%}, largest {max(sizes):.1%}"
                )


def latency_error(group: Group, factor: Factor) -> float:
    return group.alone * factor(group) / group.together - 1


def speedup_error(group: Group, factor: Factor) -> float:
    predicted = group.fat[0] / (group.alone * factor(group))
    return predicted / (group.fat[1] / group.together) - 1


EXPLAINED = """\
Forms of the logarithm of the slow-down, fitted by least squares. x is the share of the cores that
neighbours keep busy; i instances have t threads and batch b each; a is the core time of an input
alone, w that on all cores over that on one thread, f that of fat over that of the instances; k is
searched. Mean errors of latency / speedup over fat; left out: each group from the others of its
model. With splits known exactly the speedups are still off, as fat was: see above.
"""


def show_forms(inception: Sequence[Group], resnet: Sequence[Group]) -> None:
    print(EXPLAINED)
    heads = ("inception", "resnet", "left out,", "left out,")
    print(f"{'':<29}{'parameters':>10}" + "".join(f"{head:>17}" for head in heads))
    heads = ("to resnet", "to inception", "inception", "resnet")
    print(f"{'':<39}" + "".join(f"{head:>17}" for head in heads))
    for form in FORMS:
        errors = (
            mean_errors(resnet, [form.fitted(inception)] * len(resnet)),
            mean_errors(inception, [form.fitted(resnet)] * len(inception)),
            mean_errors(inception, [form.fitted(rest) for rest in without_one(inception)]),
            mean_errors(resnet, [form.fitted(rest) for rest in without_one(resnet)]),
        )
        print(f"{form.name:<29}{form.parameters(resnet[0]):>10}" + "".join(errors))


def without_one(groups: Sequence[Group]) -> list[list[Group]]:
    return [[other for other in groups if other is not group] for group in groups]


def mean_errors(groups: Sequence[Group], factors: Sequence[Factor]) -> str:
    pairs = list(zip(groups, factors, strict=True))
    latency = statistics.fmean(abs(latency_error(*pair)) for pair in pairs)
    speedup = statistics.fmean(abs(speedup_error(*pair)) for pair in pairs)
    return f"{latency:>9.1%} /{speedup:>6.1%}"


if __name__ == "__main__":
    main()
