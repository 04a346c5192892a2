"""One optimization under two names through a real sweep of this machine.

    python benchmarks/same_real.py [MINUTES [SWEEPS [OPTIMIZATION [MODEL]]]]

Nothing differs between the two, so that no report may name a difference: no place with a sole
winner, no gain, no slower cell. Prints every sentence of the choice, of the gain maps and of the
cards, and how many of the pairs were named different. Run nothing else meanwhile.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec

from coresplit import store
from coresplit.cli.launching import instance_spec, together
from coresplit.cli.session import model_info
from coresplit.instance import Instance, Process
from coresplit.machine.cgroups import available_memory
from coresplit.machine.inspection import inspect
from coresplit.machine.placement import place
from coresplit.models import ModelSpec
from coresplit.records import Cell, Run, Settings
from coresplit.report.compose import document_of
from coresplit.report.sections.overview import facts_of
from coresplit.stats.claims import Claims
from coresplit.stats.sampling import judged
from coresplit.sweep import Launcher, Sweep, anchor_of, cells_of

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
    cores = machine.cores[: machine.usable]
    settings = Settings(
        optimizations=NAMES,
        threads=tuple(range(1, machine.usable + 1)),
        batches=BATCHES,
        cores=machine.usable,
        budget_s=budget_s,
        seed=seed,
    )
    settings = msgspec.structs.replace(settings, anchor=anchor_of(settings))

    def start(cell: Cell) -> Instance:
        cpus = place(cores, cell.threads, cell.mapping)
        real = msgspec.structs.replace(cell, optimization=optimization)
        return Process(instance_spec(spec, real, cpus, machine.usable_cores, machine, inputs="hot"))

    launcher = Launcher(start)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        ready = launcher.probe(cells_of(settings), together(machine))
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
            Sweep(
                settings,
                launcher.open,
                writer,
                available_memory=available_memory,
                together=together(machine),
                begun=begun,
            ).run()
        launcher.close()
        return store.load(path)


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
    for fact in facts_of(run, document):
        print(f"card: {fact.label}: {fact.value} ({fact.note})")
    for figure in document.figures:
        if figure.name.removeprefix(f"{run.model.name}-").startswith(("choice", "map-gain")):
            print(f"finding: {figure.finding}")


if __name__ == "__main__":
    main()
