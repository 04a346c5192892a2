"""Import published tables as a run, so that they get the same report, plans and comparisons."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from coresplit.errors import TableError, UsageError
from coresplit.records import Cell, Measurement, ModelInfo, Published, Run, Settings, Verification
from coresplit.store.published.columns import DEFAULTS, is_name
from coresplit.store.published.rows import Row, Table, read_table
from coresplit.store.published.together import verifications

REASON = "published: mean of the range from minimum to maximum"
REASON_RATE = "published: from the mean throughput; no range is stated"

_TITLES = {"inception": "Inception", "resnet": "ResNet-50", "resnet50": "ResNet-50"}

# Published throughputs are rounded, and some average rates while others average latencies.
_AGREEMENT = 0.01

_T = TypeVar("_T")


def import_tables(paths: Sequence[Path], name: str | None = None, *, created_at: float) -> Run:
    """Return the cells of published latency and throughput CSVs of one model, as a run.

    Tables of instances that ran at the same time hold no cells: their splits go to the journal, as
    verifications without predictions.

    ``name`` replaces the model name that the tables state; ``created_at`` is Unix time. Latencies
    become seconds. A throughput of a cell whose latency is known is checked against it and adds
    nothing; alone it gives latency = batch / throughput as minimum, mean and maximum. Columns
    that older files lack get the defaults of ``columns.DEFAULTS`` and a note in
    ``Run.warnings``; pinning and flops are not kept. Raises TableError with file and line.
    """
    if not paths:
        raise UsageError("no table to import; name at least one CSV file")
    if name is not None and not is_name(name):
        raise UsageError(
            f"model name {name!r} may contain only letters, digits and _.+-; choose another"
        )
    tables = [read_table(path) for path in paths]
    stated = _one_model([row for table in tables for row in table.rows])
    notes = [note for table in tables for note in _assumptions(table)]
    alone = [row for table in tables if not table.together for row in table.rows]
    measurements = _measurements(alone, notes)
    most = max((each.cell.threads for each in measurements), default=0)
    ran = verifications([table for table in tables if table.together], most, notes)
    model = name or stated
    return Run(
        name=f"{model}-published",
        created_at=created_at,
        model=ModelInfo(name=model, title=_TITLES.get(model, model)),
        settings=_settings([each.cell for each in measurements] or [*_cells(ran)]),
        machine=None,
        software={},
        measurements=measurements,
        journal=ran,
        warnings=tuple(notes),
    )


def _one_model(rows: Sequence[Row]) -> str:
    for row in rows:
        if row.model != rows[0].model:
            raise TableError(
                f"{row.place}: model {row.model}, but {rows[0].place} has {rows[0].model}; "
                "import one model at a time"
            )
    return rows[0].model


def _assumptions(table: Table) -> list[str]:
    assumed = [f"{name} {DEFAULTS[name] or 'unknown'}" for name in table.assumed if name != "flops"]
    if not assumed:
        return []
    return [f"{table.file} lacks columns, so these are assumed: {', '.join(assumed)}"]


def _measurements(rows: Sequence[Row], notes: list[str]) -> tuple[Measurement, ...]:
    latencies = _by_cell(row for row in rows if row.published is not None)
    rates = _by_cell(row for row in rows if row.throughput is not None)
    found: dict[Cell, Measurement] = {}
    for cell, row in latencies.items():
        if row.published is not None:
            found[cell] = _measurement(cell, row.published, REASON)
    checked: dict[Path, int] = {}
    for cell, row in rates.items():
        if row.throughput is None:
            continue
        if cell in latencies:
            _check_agreement(row, latencies[cell])
            checked[row.file] = checked.get(row.file, 0) + 1
        else:
            latency = cell.batch / row.throughput
            published = Published(minimum=latency, mean=latency, maximum=latency)
            found[cell] = _measurement(cell, published, REASON_RATE)
    for file, number in checked.items():
        notes.append(f"{file}: {number} throughputs agree with the latencies and add nothing")
    return tuple(found.values())


def _by_cell(rows: Iterable[Row]) -> dict[Cell, Row]:
    found: dict[Cell, Row] = {}
    for row in rows:
        before = found.setdefault(row.cell, row)
        if before is not row:
            raise TableError(
                f"{row.place}: cell {row.cell} was already given in {before.place}; keep one"
            )
    return found


def _measurement(cell: Cell, published: Published, reason: str) -> Measurement:
    return Measurement(cell=cell, verdict="measured", reason=reason, published=published)


def _check_agreement(row: Row, latency: Row) -> None:
    published, rate = latency.published, row.throughput
    if published is None or rate is None:
        return
    slowest = row.cell.batch / published.maximum * (1 - _AGREEMENT)
    fastest = row.cell.batch / published.minimum * (1 + _AGREEMENT)
    if not slowest <= rate <= fastest:
        raise TableError(
            f"{row.place}: throughput {rate:g} contradicts the latency of {latency.place}, which "
            f"gives {row.cell.batch / published.mean:g}; import tables of the same measurement"
        )


def _cells(ran: Iterable[Verification]) -> Iterator[Cell]:
    """Return the cells of the instances of splits, as if they had been measured alone."""
    for each in ran:
        for trial in each.trials:
            for piece in trial.split.pieces:
                yield Cell(
                    optimization=each.optimization,
                    threads=piece.threads,
                    batch=piece.batch,
                    mapping=each.mapping,
                    allocator=each.allocator,
                )


def _settings(cells: Sequence[Cell]) -> Settings:
    return Settings(
        optimizations=_distinct(cell.optimization for cell in cells),
        threads=tuple(sorted({cell.threads for cell in cells})),
        batches=tuple(sorted({cell.batch for cell in cells})),
        mappings=_distinct(cell.mapping for cell in cells),
        allocators=_distinct(cell.allocator for cell in cells),
    )


def _distinct(values: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
