"""Upgrade documents of older schema versions to the current one.

A document is a whole run folder as plain JSON values: ``{"run": {...}, "cells": [...],
"journal": [...]}``, the last two with one entry per line. An upgrader takes a document of one
version and returns it in the next; it keeps the number and order of the lines.

Versions: 1 is the first. 2 has models with several inputs, from any file or package, and the peak
performance of the cores. 3 has the visits of a cell, and its warm-up does not depend on how long a
forward took.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coresplit.errors import RunError
from coresplit.records import SCHEMA

Document = dict[str, Any]
Upgrader = Callable[[Document], Document]
_Forwards = list[float]


def _from_1(document: Document) -> Document:
    """Convert a model, which had one unnamed input and was identified by its name only."""
    run = dict(document["run"])
    model = dict(run["model"])
    shape = model.pop("input_shape", [])
    model["source"] = model["name"]
    model["inputs"] = [{"name": "x", "shape": shape}] if shape else []
    return {**document, "run": {**run, "model": model}}


def _from_2(document: Document) -> Document:
    """Derive the visits: a line held all samples of a cell so far, so a visit is what it adds.

    Slow forwards at the start of a visit were left out. They become samples again, except the
    first forward of a visit of two or more, which is warm-up however long it took. The durations
    of copies are dropped if a round becomes a sample again whose copies were not kept.
    """
    before: dict[str, tuple[list[float], list[float], list[_Forwards]]] = {}
    cells = []
    for line in document["cells"]:
        key = repr(sorted(line["cell"].items()))
        samples, warmup = line.get("samples", []), line.get("warmup", [])
        if line["verdict"] not in ("measured", "light", "unstable") or not samples:
            cells.append(line)
            continue
        had, cut, visits = before.get(key, ([], [], []))
        goes_on = samples[: len(had)] == had and warmup[: len(cut)] == cut
        if not goes_on:
            had, cut, visits = [], [], []
        if forwards := warmup[len(cut) :] + samples[len(had) :]:
            visits = [*visits, forwards]
        before[key] = samples, warmup, visits
        cells.append(_with_visits(line, visits))
    return {**document, "cells": cells}


def _with_visits(line: dict[str, Any], visits: list[_Forwards]) -> dict[str, Any]:
    firsts = [min(1, len(forwards) - 1) for forwards in visits]
    parted = [
        (forwards[:first], forwards[first:]) for forwards, first in zip(visits, firsts, strict=True)
    ]
    samples = [value for _, kept in parted for value in kept]
    copies = dict(zip(line["samples"], line.get("copies") or [], strict=False))
    rounds = [copies.get(value) for value in samples]
    return {
        **line,
        "samples": samples,
        "warmup": [value for first, _ in parted for value in first],
        "copies": [] if None in rounds else rounds,
        "visits": [{"samples": len(kept), "warmup": len(first)} for first, kept in parted],
    }


UPGRADERS: dict[int, Upgrader] = {1: _from_1, 2: _from_2}


def upgrade(path: Path, document: Document, upgraders: Mapping[int, Upgrader]) -> Document:
    """Apply the upgraders from the document's version up to ``SCHEMA``.

    Raises RunError, which names the run folder ``path``, if one is missing.
    """
    for version in range(document["run"]["schema"], SCHEMA):
        if version not in upgraders:
            raise RunError(
                f"run {path} has schema {version}, which this coresplit cannot read; "
                "use the version that wrote it"
            )
        document = upgraders[version](document)
        document["run"]["schema"] = version + 1
    return document
