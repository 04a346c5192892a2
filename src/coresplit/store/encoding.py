"""The text of a run folder's files: encode records to lines and decode them."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from coresplit import __version__
from coresplit.errors import DamagedRunError
from coresplit.records import SCHEMA, JournalEntry, Machine, Measurement, ModelInfo, Run, Settings
from coresplit.store.checks import (
    check_cores,
    check_settings,
    check_time,
    checked_entry,
    checked_measurement,
)

MANIFEST = "run.json"
CELLS = "cells.jsonl"
JOURNAL = "journal.jsonl"

# what msgspec raises for text that is not JSON or not the expected record
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What ``run.json`` holds; ``coresplit`` is the version that wrote it."""

    schema: int
    coresplit: str
    name: str
    created_at: float
    model: ModelInfo
    settings: Settings
    machine: Machine | None
    software: dict[str, str]


_encoder = msgspec.json.Encoder()
_measurements = msgspec.json.Decoder(Measurement)
_entries: msgspec.json.Decoder[JournalEntry] = msgspec.json.Decoder(JournalEntry)
_manifests = msgspec.json.Decoder(Manifest)


def encode_manifest(run: Run) -> bytes:
    """Return ``run.json`` of a run; raise ValueError if it could not be read back."""
    manifest = Manifest(
        schema=SCHEMA,
        coresplit=__version__,
        name=run.name,
        created_at=run.created_at,
        model=run.model,
        settings=run.settings,
        machine=run.machine,
        software=run.software,
    )
    data = _compact(msgspec.json.format(_encoder.encode(manifest), indent=2)) + b"\n"
    _prove(read_manifest, data, f"run {run.name}")
    return data


def encode_measurement(measurement: Measurement) -> bytes:
    """Return one line of ``cells.jsonl``; raise ValueError if it could not be read back."""
    line = _encoder.encode(measurement)
    _prove(read_measurement, line, f"cell {measurement.cell}")
    return line + b"\n"


def encode_entry(entry: JournalEntry) -> bytes:
    """Return one line of ``journal.jsonl``; raise ValueError if it could not be read back."""
    line = _encoder.encode(entry)
    _prove(read_entry, line, f"journal entry {type(entry).__name__}")
    return line + b"\n"


def _compact(text: bytes) -> bytes:
    """Put short innermost lists and objects of indented JSON on one line each."""

    def joined(found: re.Match[bytes]) -> bytes:
        line = re.sub(rb"\n\s*", b"", re.sub(rb",\n\s*", b", ", found[0]))
        return line if len(line) <= 80 else found[0]

    # Strings contain no bare newline, so this changes only the layout.
    return re.sub(rb"[\[{]\n[^\[\]{}]*[\]}]", joined, text)


def _prove(read: Callable[[bytes], object], data: bytes, what: str) -> None:
    try:
        read(data)
    except UNREADABLE as error:
        raise ValueError(f"{what} cannot be stored: {error}") from error


def read_manifest(data: bytes) -> Manifest:
    """Decode and check ``run.json``; raises one of ``UNREADABLE``."""
    return checked_manifest(_manifests.decode(data))


def read_measurement(line: bytes) -> Measurement:
    """Decode and check one line of ``cells.jsonl``; raises one of ``UNREADABLE``."""
    return checked_measurement(_measurements.decode(line))


def read_entry(line: bytes) -> JournalEntry:
    """Decode and check one line of ``journal.jsonl``; raises one of ``UNREADABLE``."""
    return checked_entry(_entries.decode(line))


def checked_manifest(manifest: Manifest) -> Manifest:
    """Return the manifest if it is valid, else raise ValueError."""
    check_settings(manifest.settings)
    if manifest.machine is not None:
        check_cores((manifest.machine.usable,), "usable cores", " - at `$.machine.usable`")
    check_time(manifest.created_at, " - at `$.created_at`")
    return manifest


def damaged(file: Path, line: int, error: Exception) -> DamagedRunError:
    """Return the error for a line of a run folder that cannot be read."""
    remedy = "restore the file" if file.name == MANIFEST else "restore the file or remove the line"
    return DamagedRunError(f"{file} line {line}: {one_line(str(error))}; {remedy}")


def missing(file: Path) -> DamagedRunError:
    """Return the error for a missing file of a run folder."""
    return DamagedRunError(f"{file} is missing; restore it from a copy of the run")


def one_line(text: str) -> str:
    """Return ``text`` without line breaks and control characters, shortened for a message."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def line_of(data: bytes, error: Exception) -> int:
    """Return the line of ``run.json`` that a decoding error is about, as exactly as possible."""
    if isinstance(error, UnicodeDecodeError):
        return data.count(b"\n", 0, error.start) + 1
    message = str(error)
    if offset := re.search(r"\(byte (\d+)\)", message):
        return data.count(b"\n", 0, int(offset[1])) + 1
    if "truncated" in message:
        return data.rstrip().count(b"\n") + 1
    position = 0
    path = re.search(r"at `\$(.*)`", message)
    unknown = re.findall(r"unknown field `(.*?)`", message)
    for key in [*re.findall(r"\.(\w+)", path[1] if path else ""), *unknown]:
        position = max(position, data.find(f'"{key}"'.encode(), position))
    return data.count(b"\n", 0, position) + 1
