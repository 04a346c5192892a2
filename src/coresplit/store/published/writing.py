"""Export a run as the published tables, for use with other tools."""

import csv
import io
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from coresplit.errors import RunError, StorageError, UsageError
from coresplit.records import Measurement, Published, Run
from coresplit.store.files import is_full, reason_of, write_atomically
from coresplit.store.published import columns

_LONGEST_NAME = 100
_DRAWN = ("measured", "light", "unstable")


def export_tables(run: Run, out: Path, overwrite: bool = False) -> tuple[Path, Path]:
    """Write ``MODEL_latency.csv`` (ms) and ``MODEL_throughput.csv`` (inferences/s) to ``out``.

    One row for each measured, light or unstable cell of setting isolated: minimum, mean and
    maximum of its raw samples, or its published values, with all digits, so that importing them
    gives the same numbers. The columns cannot mark the other cells; ``left_out`` counts them.
    Throughput is batch / mean latency. Raises UsageError if a file exists and ``overwrite``
    is false, RunError if no cell can be exported, StorageError if the disk is full.
    """
    rows = [each for each in run.measurements if _reason_left_out(each) is None]
    if not rows:
        raise RunError(f"run {run.name} has no measured cells to export; measure some first")
    stem = _name(run.model.name)
    latency, throughput = out / f"{stem}_latency.csv", out / f"{stem}_throughput.csv"
    texts = _tables(run.model.name, rows)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in (latency, throughput):
            if file.exists() and not overwrite:
                raise UsageError(f"{file} exists; remove it or name another folder")
        for file, text in zip((latency, throughput), texts, strict=True):
            write_atomically(file, text.encode())
    except OSError as error:
        raise _refused(out, error) from error
    return latency, throughput


def left_out(run: Run) -> dict[str, int]:
    """Return how many cells ``export_tables`` leaves out, by verdict or as ``packed``."""
    return dict(Counter(filter(None, map(_reason_left_out, run.measurements))))


def range_of(measurement: Measurement) -> Published:
    """Return minimum, mean and maximum of a measured cell in seconds: published or of samples."""
    if measurement.published is not None:
        return measurement.published
    low, high = min(measurement.samples), max(measurement.samples)
    # The mean of equal numbers can round past them.
    mean = min(max(statistics.fmean(measurement.samples), low), high)
    return Published(minimum=low, mean=mean, maximum=high)


def _reason_left_out(measurement: Measurement) -> str | None:
    if measurement.verdict not in _DRAWN:
        return measurement.verdict
    return None if measurement.cell.setting == "isolated" else measurement.cell.setting


def _tables(model: str, rows: Sequence[Measurement]) -> tuple[str, str]:
    latencies, rates = [], []
    for row in rows:
        cell, latency = row.cell, range_of(row)
        head = [
            f"{_name(model)}_manual_{_name(cell.optimization)}",
            cell.mapping,
            "affinity",
            "torch",
            _name(cell.allocator),
            1,
            1,
            cell.threads,
            cell.batch,
        ]
        values = (latency.minimum, latency.mean, latency.maximum)
        latencies.append([*head, *map(columns.milliseconds, values), "0.0"])
        rates.append([*head, repr(cell.batch / latency.mean)])
    return (
        _text(columns.LATENCY_HEADER, latencies),
        _text(columns.THROUGHPUT_HEADER, rates),
    )


def _name(text: str) -> str:
    """Return text as a name that is safe in the columns, in file systems and in spreadsheets."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", text).lstrip(".+-")[:_LONGEST_NAME] or "model"


def _text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def _refused(out: Path, error: OSError) -> UsageError | StorageError:
    if is_full(error):
        return StorageError(
            f"{reason_of(error)} while writing tables to {out}; free some space first"
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        return UsageError(f"{out} is a file or is inside one; name a folder")
    return UsageError(f"{out} cannot be written: {reason_of(error)}; name another folder")
