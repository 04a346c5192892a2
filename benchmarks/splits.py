"""Compare splits predicted from a run with the same splits run on this machine.

    python benchmarks/splits.py RUN [BATCHES OPTIMIZATIONS [OPTION...]]

Verifies the split of every batch and optimization (`coresplit plan --verify` with the options),
batch by batch so that a drift of the machine does not affect a single optimization. Then prints,
for every verification in the run, how far each prediction was off and how much faster the split
was. Predictions from isolated cells alone are shown too if the run has packed cells.

The measured medians inside the predicted interval are counted twice: for the interval that was
stored with the prediction, and for the one that the current code predicts for the same
configuration from the cells of the run.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from coresplit import store
from coresplit.format import format_duration
from coresplit.planner import (
    Measured,
    Outcome,
    Profile,
    interpolated,
    outcome_of,
    profiles_of,
    verifications_of,
)
from coresplit.planner.option import Option, option_of
from coresplit.records import Configuration, Run, Split, Verification
from coresplit.stats.fitting import variance_of
from coresplit.units import parse_numbers


def main() -> None:
    path = Path(sys.argv[1])
    if len(sys.argv) > 3:
        for batch in parse_numbers(sys.argv[2], "batches"):
            for optimization in sys.argv[3].split(","):
                verify(path, batch, optimization, sys.argv[4:])
    show(store.load(path))


def verify(path: Path, batch: int, optimization: str, options: Sequence[str]) -> None:
    named = ("--batch", str(batch), "--optimization", optimization, *options)
    ended = subprocess.run(
        [sys.executable, "-m", "coresplit", "plan", str(path), *named, "--verify"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode not in (0, 1):
        sys.exit(ended.stderr)


def show(run: Run) -> None:
    variance = variance_of(run)
    alone = {each.variant.optimization: each for each in profiles_of(run, "isolated")}
    now = {each.variant.optimization: each for each in profiles_of(run)}
    spread = next(iter(now.values())).spread
    print(
        f"standard deviations of a log latency: one more visit {spread.visit.variance**0.5:.1%}, "
        f"interpolating {spread.between.variance**0.5:.1%}, "
        f"scaling {spread.scaled.variance**0.5:.1%}\n"
    )
    print(
        f"{'batch':>5} {'optimization':<13}{'configuration':<14}{'instances':<24}{'predicted':>10}"
        f"{'measured':>10}{'error':>8}{'isolated':>9}{'interval now':>22}  split is faster"
    )
    found = [(each, outcome_of(each, variance)) for each in verifications_of(run.journal)]
    found.sort(key=lambda pair: (pair[0].batch, pair[0].at))
    for verification, outcome in found:
        name = verification.optimization
        show_rows(verification, outcome, alone[name], now[name])
    print()
    summarize_errors(found, alone)
    print()
    summarize_intervals(found, now)
    print()
    summarize_verdicts(found)


def show_rows(
    verification: Verification, outcome: Outcome, alone: Profile, profile: Profile
) -> None:
    for name, measured in outcome.measured.items():
        speedup = outcome.speedups.get(name)
        faster = f"{speedup.ratio:.2f} [{speedup.low:.2f}, {speedup.high:.2f}]" if speedup else ""
        low, high = bounds(predicted_now(profile, measured))
        outside = " " if inside_now(profile, measured) else "!"
        print(
            f"{verification.batch:>5} {verification.optimization:<13}{name:<14}"
            f"{measured.trial.split!s:<24}"
            f"{format_duration(predicted(outcome, name)):>10}"
            f"{format_duration(measured.latency.value):>10}{error_of(measured):>+8.1%}"
            f"{error_alone(alone, measured):>+9.1%}"
            f"{f'{format_duration(low)} to {format_duration(high)}{outside}':>22}"
            f"  {faster or outcome.verdict}"
        )


def summarize_errors(
    found: Sequence[tuple[Verification, Outcome]], alone: Mapping[str, Profile]
) -> None:
    splits = [(each, outcome.measured["split"]) for each, outcome in found]
    summarize("prediction of the chosen split", (error_of(one) for _, one in splits))
    known = {batch for profile in alone.values() for batch in profile.batches}
    between = [error_of(one) for each, one in splits if not in_profile(one.trial.split, known)]
    summarize("  of which with batches between measured ones", between)
    mixed = [error_of(one) for _, one in splits if len(one.trial.split.pieces) > 1]
    summarize("  of which with instances that differ", mixed)
    summarize(
        "the same split from isolated cells alone",
        (error_alone(alone[each.optimization], one) for each, one in splits),
    )
    every = [error_of(one) for _, outcome in found for one in outcome.measured.values()]
    summarize("prediction of all configurations", every)
    ratios = [
        speedup_error(outcome.measured, name) for _, outcome in found for name in outcome.speedups
    ]
    summarize("predicted speedup over fat and thin", ratios)


def summarize_intervals(
    found: Sequence[tuple[Verification, Outcome]], now: Mapping[str, Profile]
) -> None:
    every = [
        (now[each.optimization], one)
        for each, outcome in found
        for one in outcome.measured.values()
    ]
    stored = sum(one.inside for _, one in every)
    present = sum(inside_now(profile, one) for profile, one in every)
    for what, count in (("stored then", stored), ("as predicted now", present)):
        share = f"{count} of {len(every)} ({count / len(every):.0%})"
        print(f"measured medians inside the interval {what}: {share}")
    errors = [
        abs(predicted_now(profile, one).predicted.value / one.latency.value - 1)
        for profile, one in every
    ]
    summarize("the same configurations as predicted now", errors)


def predicted_now(profile: Profile, measured: Measured) -> Option:
    split = measured.trial.split
    return option_of(interpolated(profile, split.batch), split)


def inside_now(profile: Profile, measured: Measured) -> bool:
    low, high = bounds(predicted_now(profile, measured))
    return low <= measured.latency.value <= high


def bounds(option: Option) -> tuple[float, float]:
    return option.predicted.low, option.predicted.high


def summarize_verdicts(found: Sequence[tuple[Verification, Outcome]]) -> None:
    verdicts = [outcome.verdict for _, outcome in found]
    for verdict in ("confirmed", "tied", "refuted"):
        print(f"{verdict}: {verdicts.count(verdict)} of {len(verdicts)}")
    slower = [outcome for _, outcome in found if "fat" in outcome.beaten_by]
    told = sum(predicted(outcome, "fat") < predicted(outcome, "split") for outcome in slower)
    print(f"shown to be slower than fat: {len(slower)}, of which predicted: {told}")


def in_profile(split: Split, batches: Iterable[int]) -> bool:
    return {piece.batch for piece in split.pieces} <= set(batches)


def error_alone(profile: Profile, measured: Measured) -> float:
    cells = interpolated(profile, measured.trial.split.batch).cells
    latency = max(cells[cell].latency for cell in measured.trial.split.cells)
    return latency / measured.latency.value - 1


def speedup_error(measured: Mapping[Configuration, Measured], name: Configuration) -> float:
    """Return the error of the ratio of two predictions; errors that both share cancel out."""
    return (1 + error_of(measured[name])) / (1 + error_of(measured["split"])) - 1


def error_of(measured: Measured) -> float:
    """Return predicted over measured, minus one; every configuration here has a prediction."""
    assert measured.error is not None
    return measured.error


def predicted(outcome: Outcome, name: Configuration) -> float:
    found = outcome.measured[name].trial.predicted
    assert found is not None
    return found.value


def summarize(what: str, errors: Iterable[float]) -> None:
    sizes = [abs(error) for error in errors]
    if sizes:
        print(
            f"{what}: {len(sizes)}, median error {statistics.median(sizes):.1%}, "
            f"largest {max(sizes):.1%}"
        )


if __name__ == "__main__":
    main()
