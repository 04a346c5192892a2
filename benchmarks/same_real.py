"""Run a real sweep of the same optimization under two names on this machine.

    python benchmarks/same_real.py [MINUTES [SWEEPS [OPTIMIZATION [MODEL]]]]

The two are the same, so the report must not show a difference: no single winner, no gain, no
slower cell. Prints every sentence of the choice, of the gain maps and of the
cards, and how many of the pairs were called different. Run nothing else at the same time.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.instance import InstanceSpec, LocalHost, Process
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec
from coresplit.records import Run, Settings
from coresplit.reports.compose import document_of
from coresplit.stats.claims import Claims
from coresplit.stats.sampling import judged
from coresplit.sweep import Sweep, anchor_of, cells_of, probe
from coresplit.workflows.conditions import model_info

MINUTES, SWEEPS = 6.0, 3
NAMES = ("first", "second")
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    given = sys.argv[1:] + [""] * 4
    minutes = float(given[0] or MINUTES)
    optimization, model = given[2] or "script", given[3] or "inception"
    for number in range(int(given[1] or SWEEPS)):
        run = judged(sweep(model, optimization, 60 * minutes, number))
        print(f"\nsweep {number + 1}: {model}, {optimization} twice, {minutes:g} minutes")
        show(run)


def sweep(model: str, optimization: str, budget_s: float, seed: int) -> Run:
    machine, spec = inspect(), ModelSpec(name=model)
    settings = Settings(
        optimizations=NAMES,
        threads=tuple(range(1, machine.usable + 1)),
        batches=BATCHES,
        cores=machine.usable,
        budget_s=budget_s,
        seed=seed,
    )
    settings = msgspec.structs.replace(settings, anchor=anchor_of(settings))

    host = LocalHost(spec, machine, "hot", lambda each: Process(_as(each, optimization)))
    begun = host.clock()
    with tempfile.TemporaryDirectory() as folder:
        ready, started = probe(host, cells_of(settings))
        run = Run(
            name="same",
            created_at=time.time(),
            model=model_info(spec, ready),
            settings=settings,
            machine=machine,
            software={},
            measurements=(),
        )
        path = Path(folder) / "same"
        with store.create(path, run) as writer:
            Sweep(settings, host, writer, started=started, begun=begun).run()
        return store.load(path)


def _as(spec: InstanceSpec, optimization: str) -> InstanceSpec:
    """Return the same instance with the real optimization instead of its alias."""
    return msgspec.structs.replace(spec, optimization=optimization)


def show(run: Run) -> None:
    claims, document = Claims(run), document_of(run)
    variance = claims.variance
    print(
        f"variance: {variance.between:.2%} between visits, {variance.within:.2%} within, "
        f"{variance.process:.2%} between processes; within a block it is "
        f"{variance.paired.factor**0.5:.2f} of that; "
        f"verdicts: {dict(Counter(each.verdict for each in run.measurements))}"
    )
    pairs = [
        (cell, msgspec.structs.replace(cell, optimization=NAMES[1]))
        for cell in claims.points
        if cell.optimization == NAMES[0]
    ]
    kinds = Counter(claims.relation(*pair) for pair in pairs if pair[1] in claims.points)
    print(f"pairs: {dict(kinds)}")
    for pair in pairs:
        if pair[1] in claims.points:
            found = claims.contrast(*pair)
            low, high = found.bounds
            print(
                f"  {pair[0]!s:<16} ratio {found.ratio:.3f} [{low:.3f}, {high:.3f}], "
                f"p {found.p_different:.3g}, {found.pairs} pairs"
            )
    for fact in document.facts:
        print(f"card: {fact.label}: {fact.value} ({fact.note})")
    for figure in document.figures:
        if figure.name.removeprefix(f"{run.model.name}-").startswith(("choice", "map-gain")):
            print(f"finding: {figure.finding}")


if __name__ == "__main__":
    main()
