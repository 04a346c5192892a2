"""Splits predicted from a run against the same splits run on this machine.

    python benchmarks/splits.py RUN BATCHES OPTIMIZATIONS [BUDGET]

Verifies the split of every batch and optimization (`coresplit plan --verify`, BUDGET 90s each),
batches in turn so that a drift of the machine does not fall on one optimization, and prints how far
each prediction was off and whether any configuration was proven faster than the split. Predictions
from isolated cells alone are shown beside those from packed cells where the run has both.
"""

import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from coresplit import store
from coresplit.planner import (
    Measured,
    Profile,
    outcome_of,
    profiles_of,
    verifications_of,
)
from coresplit.records import Configuration, Run, Verification
from coresplit.stats.noise import noise_floor
from coresplit.units import format_duration, parse_numbers


def main() -> None:
    path, batches, optimizations = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
    budget = sys.argv[4] if len(sys.argv) > 4 else "90s"
    before = len(verifications_of(store.load(path).journal))
    for batch in parse_numbers(batches, "batches"):
        for optimization in optimizations:
            verify(path, batch, optimization, budget)
    run = store.load(path)
    show(run, verifications_of(run.journal)[before:])


def verify(path: Path, batch: int, optimization: str, budget: str) -> None:
    options = ("--batch", str(batch), "--optimization", optimization, "--budget", budget)
    ended = subprocess.run(
        [sys.executable, "-m", "coresplit", "plan", str(path), *options, "--verify"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode not in (0, 1):
        sys.exit(ended.stderr)


def show(run: Run, verifications: Iterable[Verification]) -> None:
    noise = noise_floor(run.journal)
    print(f"noise floor of the run: {noise or float('nan'):.1%}\n")
    print(
        f"{'batch':>5} {'optimization':<13}{'configuration':<14}{'instances':<24}{'predicted':>10}"
        f"{'measured':>10}{'error':>8}{'isolated':>9}  split is faster"
    )
    isolated = {each.like.optimization: each for each in profiles_of(run, "isolated")}
    errors: dict[str, list[float]] = {"split": [], "all": [], "isolated": [], "speedup": []}
    verdicts = []
    for verification in verifications:
        outcome = outcome_of(verification, noise)
        verdicts.append(outcome.verdict)
        for name, measured in outcome.measured.items():
            alone = error_alone(isolated[verification.optimization], measured)
            speedup = outcome.speedups.get(name)
            faster = (
                f"{speedup.ratio:.2f} [{speedup.low:.2f}, {speedup.high:.2f}]" if speedup else ""
            )
            print(
                f"{verification.batch:>5} {verification.optimization:<13}{name:<14}"
                f"{measured.trial.split!s:<24}"
                f"{format_duration(measured.trial.predicted.latency):>10}"
                f"{format_duration(measured.latency.latency):>10}{measured.error:>+8.1%}"
                f"{alone:>+9.1%}  {faster or outcome.verdict}"
            )
            errors["all"].append(abs(measured.error))
            if name == "split":
                errors["split"].append(abs(measured.error))
                errors["isolated"].append(abs(alone))
            else:
                errors["speedup"].append(speedup_error(outcome.measured, name))
    print()
    for what, text in (
        ("split", "prediction of the chosen split"),
        ("isolated", "the same split from isolated cells alone"),
        ("all", "prediction of all configurations"),
        ("speedup", "predicted speedup over fat and thin"),
    ):
        summarize(text, errors[what])
    for verdict in ("confirmed", "tied", "refuted"):
        print(f"{verdict}: {verdicts.count(verdict)} of {len(verdicts)}")
    print(f"slower than fat beyond the noise floor: {sum(slower_than_fat(verifications, noise))}")


def error_alone(profile: Profile, measured: Measured) -> float:
    latency = max(profile.cells[cell].latency for cell in measured.trial.split.cells)
    return latency / measured.latency.latency - 1


def speedup_error(measured: Mapping[Configuration, Measured], name: Configuration) -> float:
    """How far the ratio of two predictions is off: what all configurations share cancels out."""
    return abs((1 + measured[name].error) / (1 + measured["split"].error) - 1)


def slower_than_fat(verifications: Iterable[Verification], noise: float | None) -> Iterator[bool]:
    for verification in verifications:
        fat = outcome_of(verification, noise).speedups.get("fat")
        yield fat is not None and not fat.tie and fat.ratio < 1


def summarize(what: str, errors: list[float]) -> None:
    if errors:
        print(
            f"{what}: {len(errors)}, median error {statistics.median(errors):.1%}, "
            f"largest {max(errors):.1%}"
        )


if __name__ == "__main__":
    main()
