"""Read one published CSV file into rows, strictly."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from coresplit.errors import TableError
from coresplit.records import Cell, Mapping, Published
from coresplit.store.checks import check_durations, check_published
from coresplit.store.files import read_regular, reason_of
from coresplit.store.published import columns

_T = TypeVar("_T")
_MAPPINGS: dict[str, Mapping] = {name: name for name in get_args(Mapping)}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One cell of a table: latencies in seconds, throughput in inferences per second, or both.

    ``instance`` numbers the instances that ran together; ``instances`` is how many there were, if
    the table says so.
    """

    file: Path
    line: int
    model: str
    cell: Cell
    instance: int = 1
    instances: int | None = None
    published: Published | None
    throughput: float | None

    @property
    def place(self) -> str:
        """File and line for messages."""
        return f"{self.file} line {self.line}"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One file; ``assumed`` are the columns it lacks, which get their defaults."""

    file: Path
    rows: tuple[Row, ...]
    assumed: tuple[str, ...]

    @property
    def together(self) -> bool:
        """True if its rows are instances that ran at the same time, not cells measured alone."""
        numbers = {row.instance for row in self.rows}
        stated = any(row.instances is not None for row in self.rows)
        return stated or len(numbers) > 1 or max(numbers) > 1


def read_table(file: Path) -> Table:
    """Return the rows of a published CSV; TableError names file, line and what is wrong."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    header: list[str] = []
    rows: list[Row] = []
    try:
        for values in reader:
            stripped = [value.strip() for value in values]
            if not any(stripped):
                continue
            if header:
                rows.append(_row(file, reader.line_num, header, stripped))
            else:
                header = _header(f"{file} line {reader.line_num}", stripped)
    except csv.Error as error:
        raise TableError(f"{file} line {reader.line_num}: not CSV: {error}; fix it") from error
    if not header:
        raise TableError(f"{file} line 1: the file is empty; export the table again")
    if not rows:
        raise TableError(f"{file} line 1: a header and no rows; export the table again")
    assumed = tuple(name for name in columns.DEFAULTS if name not in header)
    return Table(file=file, rows=tuple(rows), assumed=assumed)


def _text(file: Path) -> str:
    try:
        data = read_regular(file)
    except IsADirectoryError as error:
        raise TableError(f"{file} is a folder; name the CSV files in it") from error
    except OSError as error:
        raise TableError(f"{file} cannot be read: {reason_of(error)}; name a CSV file") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(f"{file} line {line}: the text is not UTF-8; save it as UTF-8") from error


def _header(place: str, stated: list[str]) -> list[str]:
    """Return the column names, with those of older files replaced; TableError if invalid."""
    unknown = [name for name in stated if name not in columns.KNOWN_COLUMNS]
    if unknown:
        raise TableError(
            f"{place}: unknown column {_shown(unknown[0])}"
            + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
            + f"; known are {', '.join(columns.KNOWN_COLUMNS)}"
        )
    header = [columns.ALIASES.get(name, name) for name in stated]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise TableError(f"{place}: column {min(repeated)} appears twice; keep one")
    missing = [name for name in columns.REQUIRED_COLUMNS if name not in header]
    triple = [name for name in columns.LATENCY_COLUMNS if name not in header]
    if triple and (len(triple) < 3 or "throughput" not in header):
        missing += triple
    if missing:
        either = " (or throughput)" if len(triple) == 3 and "throughput" not in header else ""
        raise TableError(f"{place}: missing column {', '.join(missing)}{either}; add it")
    return header


def _row(file: Path, line: int, header: list[str], values: list[str]) -> Row:
    place = f"{file} line {line}"
    if len(values) != len(header):
        raise TableError(f"{place}: {len(values)} values for {len(header)} columns; fix the row")
    row = dict(zip(header, values, strict=True))
    (model, optimization), mapping, allocator = _kind(place, row)
    cell = Cell(
        optimization=optimization,
        threads=_parsed(place, row, "intraop_threads", columns.threads),
        batch=_parsed(place, row, "batch_size", columns.count),
        mapping=mapping,
        allocator=allocator,
    )
    return Row(
        file=file,
        line=line,
        model=model,
        cell=cell,
        instance=_parsed(place, row, "instance_id", columns.instance_number),
        instances=_parsed(place, row, "instances", columns.count) if "instances" in row else None,
        published=_published(place, row) if columns.LATENCY_COLUMNS[0] in row else None,
        throughput=_throughput(place, row, cell.batch) if "throughput" in row else None,
    )


def _kind(place: str, row: dict[str, str]) -> tuple[tuple[str, str], Mapping, str]:
    """Return (model, optimization), mapping and allocator; all else must be as in coresplit."""
    interop = _parsed(place, row, "interop_threads", columns.count)
    if interop != 1:
        raise TableError(
            f"{place}: interop_threads {interop}: coresplit uses one inter-op thread; "
            "remove such rows"
        )
    threading = row.get("ht", "false").lower()
    if threading not in ("false", "true"):
        raise TableError(f"{place}: ht {_shown(threading)} is not true or false; fix it")
    if threading == "true":
        raise TableError(
            f"{place}: ht true: threads shared cores by hyper-threading, but coresplit uses a "
            "core for each thread; remove such rows"
        )
    source = _value(row, "source")
    if source != "torch":
        raise TableError(f"{place}: unknown source {_shown(source)}; use torch")
    _parsed(place, row, "flops", columns.operations)
    topology = _value(row, "topology")
    if topology not in _MAPPINGS:
        known = " or ".join(_MAPPINGS)
        raise TableError(f"{place}: unknown topology {_shown(topology)}; use {known}")
    allocator = _value(row, "allocator")
    if not columns.is_name(allocator):
        raise TableError(f"{place}: allocator {_shown(allocator)} is not a name; fix it")
    kind = _parsed(place, row, "benchmark", columns.split_benchmark)
    return kind, _MAPPINGS[topology], allocator


def _published(place: str, row: dict[str, str]) -> Published:
    low, mean, high = (
        _parsed(place, row, name, columns.seconds) for name in columns.LATENCY_COLUMNS
    )
    published = Published(minimum=low, mean=mean, maximum=high)
    try:
        check_published(published)
    except ValueError as error:
        values = " <= ".join(row[name] for name in columns.LATENCY_COLUMNS)
        raise TableError(f"{place}: latency min <= avg <= max fails: {values}; fix it") from error
    return published


def _throughput(place: str, row: dict[str, str], batch: int) -> float:
    rate = _parsed(place, row, "throughput", columns.rate)
    try:
        check_durations((batch / rate,), "latency")
    except ValueError as error:
        raise TableError(f"{place}: throughput {rate!r} for batch {batch}: {error}") from error
    return rate


def _parsed(place: str, row: dict[str, str], name: str, parse: Callable[[str], _T]) -> _T:
    text = _value(row, name)
    try:
        return parse(text)
    except ValueError as error:
        raise TableError(f"{place}: {name} {_shown(text)} {error}; fix it") from error


def _value(row: dict[str, str], name: str) -> str:
    return row[name] if name in row else columns.DEFAULTS[name]


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}..."
