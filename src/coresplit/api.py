"""The Python interface, which the command line is a thin layer over.

Durations are in seconds, memory in bytes. A run may be given as a ``Run`` or as the path of its
folder. Every mistake raises a ``CoresplitError`` with ``what``, ``remedy`` and ``option``; nothing
prints or exits. Ctrl-C asks to end well: what was measured is kept and returned.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from coresplit import store
from coresplit.arguments import listed, path_of, request_of, several
from coresplit.errors import UsageError
from coresplit.instance import Interrupt
from coresplit.machine.doctor.checks import Advice, examine
from coresplit.machine.inspection import inspect
from coresplit.results import Plan, Run, Verification
from coresplit.stats.sampling import judged
from coresplit.workflows import measuring, planning, reporting, verifying
from coresplit.workflows.proving import prove_headline
from coresplit.workflows.request import BenchRequest
from coresplit.workflows.reserving import Cores

_log = logging.getLogger("coresplit")


RunLike = str | Path | Run


def bench(
    model: str | None = None,
    *,
    optimizations: Sequence[str] | Literal["all"] | None = None,
    threads: Sequence[int] | None = None,
    batches: Sequence[int] | None = None,
    budget: float | None = None,
    precision: float | None = None,
    mapping: Sequence[str] | None = None,
    allocator: Sequence[str] | None = None,
    setting: Sequence[str] | None = None,
    inputs: str | None = None,
    quick: bool = False,
    input_size: int | None = None,
    length: int | None = None,
    input: Sequence[str] = (),
    trust: bool = False,
    weights: str | Path | None = None,
    seed: int | None = None,
    out: str | Path | None = None,
    resume: RunLike | None = None,
    wait: bool = False,
    progress: Callable[[Any], None] | None = None,
) -> Run:
    """Sweep a model over threads, batches and optimizations, into a run folder.

    ``model`` is a name such as ``inception``, a file (.onnx, .pt2, .pt), ``package.module:name``,
    or an ``hf:``, ``torchvision:`` or ``timm:`` name. ``fake:1ms + 8ms*b/t`` is a formula, which
    needs no library and takes no time. ``trust`` allows a model file to run code.

    ``budget`` is in seconds (default 600; infinite measures everything). ``precision`` is the
    half-width of the 95 % interval, as a share (default 0.02). ``quick`` takes 120 seconds, of
    which a third verify the best split. ``out`` is the new folder; ``resume`` is a run to continue,
    to which longer lists are added. ``wait`` waits for cores that another process measures on.
    ``progress`` is called at every step with something to print; ``print`` will do.

    Raises UsageError, EnvironmentFault if something is missing here, CoresInUse, RunError, and
    InstanceError if no instance becomes ready.

    Examples:
        >>> import coresplit
        >>> run = coresplit.bench("fake", batches=[1, 8], threads=[1, 4], out=folder / "fake")
        >>> run.ended
        'complete'
    """
    request = request_of(
        BenchRequest,
        model=model,
        optimizations=listed(optimizations),
        threads=listed(threads),
        batches=listed(batches),
        budget=budget,
        precision=precision,
        mapping=listed(mapping),
        allocator=listed(allocator),
        setting=listed(setting),
        inputs=inputs,
        quick=quick,
        input_size=input_size,
        length=length,
        input=listed(input),
        trust=trust,
        weights=str(weights) if isinstance(weights, Path) else weights,
        seed=seed,
        out=None if out is None else path_of(out, "out"),
        resume=None if resume is None else path_of(resume, "resume"),
    )
    tell = progress or (lambda found: None)
    with _measuring(wait) as (interrupt, cores):
        session = measuring.prepare(request, interrupt, cores, _log.info)
        measured = session.run(interrupt, tell)
        if quick and not measured.outcome.interrupted:
            prove_headline(
                measured.path,
                weights=request.weights,
                # a Python model that this call names was run already
                trust=trust or model is not None,
                left_s=measured.left_s(request.budget_s),
                interrupt=interrupt,
                cores=cores,
                on_progress=tell,
            )
    return load(measured.path)


def load(path: RunLike) -> Run:
    """Read a run folder, also one of an older version or of another machine, as it is now.

    Raises RunError for what is none, DamagedRunError that names the file and the line.
    """
    folder = path_of(path, "path")
    return Run(folder, judged(store.load(folder)))


def plan(
    run: RunLike,
    *,
    batch: int | None = None,
    slo: float | None = None,
    cores: int | None = None,
    optimization: str | None = None,
    mapping: str | None = None,
    allocator: str | None = None,
    setting: str | None = None,
    interpolate: bool = False,
) -> Plan:
    """The split of the lowest predicted latency for a batch, or of the highest throughput in time.

    Give either ``batch`` or ``slo``, the longest latency in seconds. Of all lossless optimizations
    the fastest is taken unless one is named; ``interpolate`` also plans with batches between
    measured ones. Raises NotMeasured with the ``additions`` that a sweep would need.

    Examples:
        >>> import coresplit
        >>> run = coresplit.bench("fake:2ms + 8ms*b", batches=[1, 2, 4, 8], out=folder / "plan")
        >>> coresplit.plan(run, batch=8).split
        ((4, 1, 2),)
    """
    loaded = load(run)
    if batch is None and slo is None:
        raise UsageError("a plan needs a batch or an SLO", "give one of them", "batch")
    request = request_of(
        planning.PlanRequest,
        batch=batch,
        slo=slo,
        cores=cores,
        optimization=optimization,
        mapping=mapping,
        allocator=allocator,
        setting=setting,
        interpolate=interpolate,
    )
    return Plan(loaded, planning.answers(loaded.record, request)[0])


def plans(
    run: RunLike,
    *,
    cores: int | None = None,
    optimization: str | None = None,
    mapping: str | None = None,
    allocator: str | None = None,
    setting: str | None = None,
    interpolate: bool = False,
) -> tuple[Plan, ...]:
    """A plan for every batch of a run, as ``plan`` makes them."""
    loaded = load(run)
    request = request_of(
        planning.PlanRequest,
        cores=cores,
        optimization=optimization,
        mapping=mapping,
        allocator=allocator,
        setting=setting,
        interpolate=interpolate,
    )
    return tuple(Plan(loaded, answer) for answer in planning.answers(loaded.record, request))


def verify(
    plan: Plan,
    *,
    budget: float = 120.0,
    weights: str | Path | None = None,
    trust: bool = False,
    wait: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Run a plan beside its rivals, round by round, on the machine of its run, and keep the rounds.

    ``budget`` in seconds bounds the rounds. ``weights`` and ``trust`` are those of the run. Raises
    MismatchError where the run was measured under other conditions.

    Examples:
        >>> import coresplit
        >>> run = coresplit.bench("fake:2ms + 8ms*b", batches=[1, 2, 4, 8], out=folder / "verify")
        >>> coresplit.verify(coresplit.plan(run, batch=8)).verdict
        'confirmed'
    """
    if not isinstance(plan, Plan):
        raise UsageError(f"plan is of type {type(plan).__name__}; give what plan() returned")
    if not isinstance(budget, int | float) or isinstance(budget, bool) or not 0 < budget < 1e9:
        raise UsageError(f"a budget of {budget!r} cannot be kept; give it some seconds")
    with _measuring(wait) as (interrupt, cores):
        verifying.verify(
            plan.run.path,
            plan.answer.plan,
            weights=None if weights is None else str(weights),
            trust=trust,
            budget_s=budget,
            interrupt=interrupt,
            cores=cores,
            on_progress=progress or (lambda doing: None),
        )
    run = load(plan.run.path)
    again = Plan(run, planning.again(plan.answer, run.record))
    if again.proof is None:
        raise UsageError("it was interrupted before the first round; run it again")
    return Verification(again, again.proof)


def report(
    run: RunLike,
    out: str | Path | None = None,
    *,
    formats: Collection[str] = ("html", "markdown", "png", "csv"),
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write the pages, pictures and tables of a run; returns the page to open.

    ``out`` defaults to the folder ``report`` in the run folder. ``formats`` are of html, markdown,
    png and csv.

    Examples:
        >>> import coresplit
        >>> run = coresplit.bench("fake", batches=[1, 8], out=folder / "report")
        >>> coresplit.report(run, formats=["html"]).name
        'index.html'
    """
    loaded = load(run)
    if isinstance(formats, str):
        raise UsageError(f"formats is the text '{formats}'; give a list such as ['{formats}']")
    where = loaded.path / "report" if out is None else path_of(out, "out")
    return reporting.build_pages(loaded.record, where, formats, progress or (lambda name: None))


def import_tables(
    tables: Iterable[str | Path], out: str | Path, *, model: str | None = None
) -> Run:
    """Turn published CSV tables of one model into a run folder ``out``.

    Raises TableError with the file and the line, UsageError where ``out`` exists.
    """
    paths = [path_of(table, "tables") for table in several(tables, "tables")]
    where = path_of(out, "out")
    store.save(where, store.import_tables(paths, model, created_at=time.time()))
    return load(where)


def export_tables(run: RunLike, out: str | Path) -> tuple[Path, ...]:
    """Write a run as CSV tables in the published columns, into the folder ``out``."""
    return tuple(store.export_tables(load(run).record, path_of(out, "out")))


def doctor() -> list[Advice]:
    """What on this machine will spoil measurements, and the remedy. Changes nothing."""
    return list(examine(inspect()))


@contextmanager
def _measuring(wait: bool) -> Iterator[tuple[Interrupt, Cores]]:
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "instances are started from the main thread only, as they end with the thread that "
            "started them; call it there"
        )
    with Interrupt() as interrupt, Cores(interrupt, wait=wait, note=_log.info) as cores:
        yield interrupt, cores
