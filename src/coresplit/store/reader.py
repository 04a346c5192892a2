"""Load run folders of every version, with exact errors."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from coresplit.errors import RunError
from coresplit.records import SCHEMA, JournalEntry, Measurement, Run
from coresplit.store.checks import checked_entry, checked_measurement
from coresplit.store.encoding import (
    CELLS,
    JOURNAL,
    MANIFEST,
    UNREADABLE,
    Manifest,
    checked_manifest,
    damaged,
    line_of,
    missing,
    read_entry,
    read_manifest,
    read_measurement,
)
from coresplit.store.files import read_regular, reason_of
from coresplit.store.upgrade import UPGRADERS, Upgrader, upgrade

_Raw = TypeVar("_Raw")
_Record = TypeVar("_Record")
_Parts = tuple[Manifest, tuple[Measurement, ...], tuple[JournalEntry, ...]]


class _Head(msgspec.Struct):
    schema: int


def load(path: Path, *, upgraders: Mapping[int, Upgrader] = UPGRADERS) -> Run:
    """Return the run in the folder ``path``, with one measurement per cell: that of its last line.

    A last line without a newline is ignored with an entry in ``Run.warnings``.
    Raises RunError if there is no run or a newer coresplit wrote it, and DamagedRunError
    with file and line for any other damage.
    """
    require_run(path)
    try:
        texts = {name: read_regular(path / name) for name in (MANIFEST, CELLS, JOURNAL)}
    except FileNotFoundError as error:
        raise missing(Path(error.filename)) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    warnings: list[str] = []
    lines = {name: _whole_lines(path / name, texts[name], warnings) for name in (CELLS, JOURNAL)}
    schema = _schema_of(path, texts[MANIFEST])
    if schema == SCHEMA:
        parts = _read(path, texts[MANIFEST], lines)
    else:
        parts = _upgraded(path, texts[MANIFEST], lines, upgraders)
    manifest, measurements, journal = parts
    return Run(
        name=manifest.name,
        created_at=manifest.created_at,
        model=manifest.model,
        settings=manifest.settings,
        machine=manifest.machine,
        software=manifest.software,
        measurements=tuple({each.cell: each for each in measurements}.values()),
        journal=journal,
        warnings=tuple(warnings),
    )


def schema_of(path: Path) -> int:
    """Return the schema version of the run folder ``path``; raises as ``load`` does."""
    require_run(path)
    try:
        return _schema_of(path, read_regular(path / MANIFEST))
    except OSError as error:
        raise _unreadable(path, error) from error


def require_run(path: Path) -> None:
    """Raise RunError, with the closest run as a suggestion, unless ``path`` is a run folder."""
    try:
        if (path / MANIFEST).exists():
            return
        if not path.exists():
            what = "does not exist"
        elif path.is_dir():
            what = f"has no {MANIFEST}, so it is not a run folder"
        else:
            what = "is a file, not a run folder"
    except OSError as error:
        raise _unreadable(path, error) from error
    raise RunError(f"run {path} {what}; {_suggestion(path)}")


def _unreadable(path: Path, error: OSError) -> RunError:
    return RunError(f"run {path} cannot be read: {reason_of(error)}; fix that first")


def _suggestion(path: Path) -> str:
    if (path.parent / MANIFEST).is_file() and path.exists():
        return f"did you mean {path.parent}?"
    inside = _runs_in(path)
    if inside:
        return f"did you mean {path / inside[-1]}?"
    close = difflib.get_close_matches(path.name, _runs_in(path.parent), n=1)
    if close:
        return f"did you mean {path.parent / close[0]}?"
    return "name a folder that a bench or an import wrote"


def _runs_in(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(each.name for each in folder.iterdir() if (each / MANIFEST).is_file())
    return []


def _whole_lines(file: Path, data: bytes, warnings: list[str]) -> list[bytes]:
    *lines, rest = data.split(b"\n")
    if rest:
        warnings.append(
            f"{file} line {len(lines) + 1} was cut off while being written and is ignored"
        )
    return lines


def _schema_of(path: Path, data: bytes) -> int:
    file = path / MANIFEST
    try:
        data.decode()
        schema = msgspec.json.decode(data, type=_Head).schema
    except UNREADABLE as error:
        raise damaged(file, line_of(data, error), error) from error
    if schema > SCHEMA:
        raise RunError(
            f"run {path} was written by a newer coresplit (schema {schema}, "
            f"this one reads up to {SCHEMA}); upgrade coresplit"
        )
    return schema


def _read(path: Path, text: bytes, lines: Mapping[str, list[bytes]]) -> _Parts:
    try:
        manifest = read_manifest(text)
    except UNREADABLE as error:
        raise damaged(path / MANIFEST, line_of(text, error), error) from error
    return (
        manifest,
        _each(path / CELLS, lines[CELLS], read_measurement),
        _each(path / JOURNAL, lines[JOURNAL], read_entry),
    )


def _upgraded(
    path: Path,
    text: bytes,
    lines: Mapping[str, list[bytes]],
    upgraders: Mapping[int, Upgrader],
) -> _Parts:
    file = path / MANIFEST
    try:
        document: dict[str, Any] = {"run": msgspec.json.decode(text)}
    except UNREADABLE as error:
        raise damaged(file, line_of(text, error), error) from error
    document["cells"] = list(_each(path / CELLS, lines[CELLS], msgspec.json.decode))
    document["journal"] = list(_each(path / JOURNAL, lines[JOURNAL], msgspec.json.decode))
    try:
        document = upgrade(path, document, upgraders)
        manifest = checked_manifest(msgspec.convert(document["run"], Manifest))
    except (*UNREADABLE, LookupError, TypeError, AttributeError) as error:
        raise damaged(file, 1, error) from error
    return (
        manifest,
        _each(path / CELLS, document["cells"], _convert_measurement),
        _each(path / JOURNAL, document["journal"], _convert_entry),
    )


def _convert_measurement(raw: object) -> Measurement:
    return checked_measurement(msgspec.convert(raw, Measurement))


def _convert_entry(raw: object) -> JournalEntry:
    entry: JournalEntry = msgspec.convert(raw, JournalEntry)
    return checked_entry(entry)


def _each(file: Path, raw: Iterable[_Raw], read: Callable[[_Raw], _Record]) -> tuple[_Record, ...]:
    records = []
    for number, item in enumerate(raw, start=1):
        try:
            records.append(read(item))
        except UNREADABLE as error:
            raise damaged(file, number, error) from error
    return tuple(records)
