"""The expected time to prepare an instance, from what it makes and what the cache holds."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from coresplit.cache import Cache
from coresplit.errors import EnvironmentFault, StorageError
from coresplit.machine.environment import software
from coresplit.models import ModelSpec, form_of
from coresplit.optimizations import Makes, optimization_named
from coresplit.records import Cell, Form, JournalEntry, Measurement, Prepared
from coresplit.sweep import Effort, Efforts, Key, Sink, in_order, key_of

LIGHT_S = 5.0
"""Time to start a process, import the library and build a model of about 25 million parameters."""
FIRST: dict[Makes, float] = {"nothing": 1.0, "export": 3.5, "quantized": 6.0, "compiled": 20.0}
AGAIN: dict[Makes, float] = {"nothing": 1.0, "export": 1.0, "quantized": 1.5, "compiled": 3.0}
"""As multiples of the light time (MobileNetV3 and Inception on two cores)."""


class Kept:
    """The artefacts of a model that the cache holds, as noted by earlier sweeps."""

    def __init__(self, spec: ModelSpec, cache: Cache | None = None) -> None:
        # a resumed run may need trust although its first command did not
        model = msgspec.structs.replace(spec, trust=False)
        key = {"model": msgspec.json.encode(model).decode(), **software(("torch",))}
        self._folder: Path | None = None
        # the code that needs the cache reports what is wrong with it
        with suppress(StorageError, EnvironmentFault):
            self._folder = (cache or Cache()).folder("prepared", key)

    def names(self) -> set[str]:
        """Return the artefacts that were made and not cleared since."""
        return {path.name for path in self._folder.iterdir()} if self._folder else set()

    def note(self, entry: Prepared) -> None:
        """Note what an instance made that became ready."""
        name = artefact(entry.optimization, entry.threads)
        if name and self._folder:
            with suppress(OSError):
                (self._folder / name).touch(mode=0o600)


def artefact(optimization: str, threads: int) -> str:
    """Return the name of what an instance makes once; empty if it makes nothing."""
    makes = optimization_named(optimization).makes
    return {"nothing": "", "export": "export", "quantized": optimization}.get(
        makes, f"{optimization}-{threads}"
    )


def efforts_of(form: Form, kept: Collection[str], light_s: float = LIGHT_S) -> Efforts:
    """Return the times to prepare instances, given ``light_s``, that of one that makes nothing.

    Artefacts in ``kept`` are only loaded, and an ONNX model is not exported.
    """

    def effort(key: Key) -> Effort:
        makes = optimization_named(key.optimization).makes
        name = artefact(key.optimization, key.threads)
        there = name in kept or (makes == "export" and form == "onnx")
        again_s = light_s * AGAIN[makes]
        # calibration runs forwards, so the instance with the most threads should do it
        shared = key.threads if makes == "quantized" else 1
        making_s = light_s * (FIRST[makes] - AGAIN[makes]) / shared
        return Effort(
            first_s=again_s if there else again_s + making_s,
            again_s=again_s,
            artefact=name,
            compiles=makes == "compiled" and not there,
        )

    return effort


def by_effort(cells: Iterable[Cell], spec: ModelSpec, kept: Kept) -> list[Cell]:
    """Return one cell of every instance, in the order to prepare them."""
    by_key = {key_of(cell): cell for cell in cells}
    efforts = efforts_of(form_of(spec.name), kept.names())
    return [by_key[key] for key, _ in in_order(by_key, efforts)]


class NotingSink:
    """The sink of a sweep that also notes what the cache holds now."""

    def __init__(self, sink: Sink, kept: Kept) -> None:
        self._sink = sink
        self._kept = kept

    def append(self, measurement: Measurement) -> None:
        """Store the current measurement of a cell."""
        self._sink.append(measurement)

    def log(self, entry: JournalEntry) -> None:
        """Store a journal entry, and note what a ready instance made."""
        if isinstance(entry, Prepared):
            self._kept.note(entry)
        self._sink.log(entry)
