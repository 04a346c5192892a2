"""The gain of changing instances while serving on 16 cores, from published latencies.

    python benchmarks/serving/adapting_16.py FOLDER [ROUNDS]

FOLDER contains the tables published with the Packrat paper (Bhardwaj et al., ICML 2025): Inception
and ResNet-50, TorchScript, on 16 cores of an Intel Xeon Gold 6142. First comes the gain as the
paper computes it: the latency of one instance on all cores over that of the planned split for the
same batch, from instances measured alone and from instances that ran together. Then loads are
replayed through the splits of equal instances that use all cores, and through our controller and
Packrat's rule, which change them. Busy instances take as long as the slowest of those that ran
together; cells that did not run together are scaled by the slow-down that the planner fits to those
that did. Nothing is measured here, and no switch takes time: instances wait warm.
"""

import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.format import format_duration, number
from coresplit.planner import Profile, capacities_of, plan, profiles_of
from coresplit.records import Cell, Measurement, Run, Verification
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.simulating.found import Gains
from coresplit.workflows.simulating.request import SimulateRequest
from coresplit.workflows.simulating.run import simulate_load

MODELS = {"inception": "Inception v3", "resnet": "ResNet-50"}
ISOLATED = "{}-xeon6142-16c-isolated-latency.csv"
TOGETHER = "{}-xeon6142-16c-together-latency.csv"
CORES, OPTIMIZATION = 16, "script"
ROUNDS, FEWEST = 3, 3
LONG_S = 300.0
LOW = 0.1
PEAKS = {"fat": 0.8, "best": 0.9}
"""The highest rate of a load, as a share of the throughput of fat and of the best split."""
SHAPES = {
    "diurnal": "diurnal:{low}..{high}@5m",
    "spiky": "spike:{low}..{high}@10s/60s",
    "step": "step:{low},{high}@60s",
    "constant low": "step:{low}@5m",
    "constant high": "step:{high}@5m",
}


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("name the folder of the published tables")
    folder = Path(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    print(
        "From the tables published with the Packrat paper: TorchScript on 16 cores of a Xeon 6142"
    )
    for name, title in MODELS.items():
        run = store.import_tables([folder / ISOLATED.format(name)], created_at=0.0)
        ran = store.import_tables([folder / TOGETHER.format(name)], created_at=0.0)
        trials = [entry for entry in ran.journal if isinstance(entry, Verification)]
        print(f"\n{title}")
        show_batches(profile_of(run), trials)
        show_loads(with_packed(run, trials), rounds)


def profile_of(run: Run) -> Profile:
    return next(
        each
        for each in profiles_of(run)
        if each.variant.optimization == OPTIMIZATION and each.variant.mapping == "sequential"
    )


def show_batches(profile: Profile, trials: list[Verification]) -> None:
    """Print the latency of one instance over that of the split by batch, as the paper does."""
    print(f"{'batch':>7}  {'planned split':<16}{'alone':>7}{'ran together':>14}{'its split':>12}")
    alone, together = [], []
    for each in trials:
        found = plan(profile, CORES, each.batch)
        assert found is not None and found.fat is not None
        alone.append(found.fat.predicted.value / found.fastest.predicted.value)
        real = {trial.name: trial for trial in each.trials}
        took = {name: one.published.mean for name, one in real.items() if one.published}
        together.append(took["fat"] / took["split"])
        print(
            f"{each.batch:>7}  {threads_of(found.fastest.split.cells):<16}{alone[-1]:>6.2f}x"
            f"{together[-1]:>13.2f}x{threads_of(real['split'].split.cells):>12}"
        )
    print(
        f"{'mean':>7}  {'':<16}{statistics.mean(alone):>6.2f}x{statistics.mean(together):>13.2f}x"
        "   (the paper: 1.43x to 1.83x)"
    )


def threads_of(cells: tuple[tuple[int, int], ...]) -> str:
    threads = [each for each, _ in cells]
    return "+".join(f"{threads.count(each)}x{each}" for each in sorted(set(threads), reverse=True))


def with_packed(run: Run, trials: list[Verification]) -> Run:
    """Return the run with added packed cells: instances that ran together and filled the cores."""
    return msgspec.structs.replace(run, measurements=(*run.measurements, *packed(trials)))


def packed(trials: list[Verification]) -> Iterator[Measurement]:
    for each in trials:
        split = next(trial for trial in each.trials if trial.name == "split")
        cells = set(split.split.cells)
        if len(cells) > 1 or split.split.count * split.split.cells[0][0] != CORES:
            continue
        ((threads, batch),) = cells
        cell = Cell(optimization=OPTIMIZATION, threads=threads, batch=batch, setting="packed")
        yield Measurement(
            cell=cell, verdict="measured", reason="ran together", published=split.published
        )


def show_loads(run: Run, rounds: int) -> None:
    profile = profile_of(run)
    capacities = capacities_of(profile, CORES)
    fat = next(each for each in capacities if each.split.cells[0][0] == CORES)
    best = max(capacities, key=lambda each: each.throughput)
    print(
        f"at most {number(fat.throughput)}/s with 1x16, "
        f"{number(best.throughput)}/s with {threads_of(best.split.cells)}"
    )
    splits = tuple(f"{CORES // each}x{each}" for each in (16, 8, 4, 2, 1))
    print(f"splits: {', '.join(splits)}")
    for whose, share in PEAKS.items():
        high = share * (fat if whose == "fat" else best).throughput
        print(
            f"\npeak {number(high)}/s, {share:.0%} of what "
            f"{'1x16' if whose == 'fat' else threads_of(best.split.cells)} can do; "
            f"low {number(LOW * high)}/s"
        )
        print(
            f"{'load':<15}{'':<18}{'mean':>10}{'p99':>10}{'switches':>10}"
            "  times as fast as the best fixed: mean, p99"
        )
        for name, shape in SHAPES.items():
            asked = shape.format(low=f"{LOW * high:.3f}", high=f"{high:.3f}")
            sending = LoadRequest(urls=(), shape=asked, duration=LONG_S, rounds=rounds)
            show_load(run, splits, name, sending)


def show_load(run: Run, splits: tuple[str, ...], name: str, sending: LoadRequest) -> None:
    asked = SimulateRequest(sending=sending, splits=splits, optimization=OPTIMIZATION)
    found = simulate_load(run, asked, lambda doing: None)
    rows = {each.name: each for each in found.rows}
    fat = next(each for each in rows.values() if each.name.startswith(f"1x{CORES} "))
    named = {
        f"best: {str(found.best).split()[0]}": (rows[str(found.best)], None),
        f"fat: 1x{CORES}": (fat, None),
        "adapting": (rows["adapting"], found.adapted),
        "Packrat's rule": (rows["Packrat's rule"], found.packrat),
    }
    for place, (label, (row, gains)) in enumerate(named.items()):
        tail = math.nan if row.p99 is None else row.p99
        switches = "" if row.kind == "fixed" else f"{row.switches:.0f}"
        behind = "  falls behind" if row.behind else ""
        print(
            f"{name if place == 0 else '':<15}{label:<18}{format_duration(row.mean):>10}"
            f"{format_duration(tail):>10}{switches:>10}  {said(gains)}{behind}"
        )
    sys.stdout.flush()


def said(gains: Gains | None) -> str:
    if gains is None:
        return ""
    shown = {"unclear": " ?", "equivalent": " ="}
    return ", ".join(
        f"{each.ratio:.2f} ({each.low:.2f} to {each.high:.2f}){shown.get(each.relation, '')}"
        for each in gains.gains
    )


if __name__ == "__main__":
    main()
