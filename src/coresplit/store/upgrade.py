"""Bringing documents of older schema versions to the present one.

A document is a whole run folder as plain JSON values: ``{"run": {...}, "cells": [...],
"journal": [...]}``, the last two with one entry per line. An upgrader takes a document of one
version and returns it in the next; it keeps the number and order of the lines.

History: version 1 is the first. Version 2 knows models of several inputs, whatever file or
package they come from, and what their cores can do at most.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coresplit.errors import RunError
from coresplit.records import SCHEMA

Document = dict[str, Any]
Upgrader = Callable[[Document], Document]


def _from_1(document: Document) -> Document:
    """A model had one input of a shape, and the model's name was all that named it."""
    run = dict(document["run"])
    model = dict(run["model"])
    shape = model.pop("input_shape", [])
    model["source"] = model["name"]
    model["inputs"] = [{"name": "x", "shape": shape}] if shape else []
    return {**document, "run": {**run, "model": model}}


UPGRADERS: dict[int, Upgrader] = {1: _from_1}


def upgrade(path: Path, document: Document, upgraders: Mapping[int, Upgrader]) -> Document:
    """Apply the upgraders from the document's version up to ``SCHEMA``.

    Raises RunError, which names the run folder ``path``, where one is missing.
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
