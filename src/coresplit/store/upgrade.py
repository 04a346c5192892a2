"""Bringing documents of older schema versions to the present one.

A document is a whole run folder as plain JSON values: ``{"run": {...}, "cells": [...],
"journal": [...]}``, the last two with one entry per line. An upgrader takes a document of one
version and returns it in the next; it keeps the number and order of the lines.

History: version 1 is the first.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coresplit.errors import RunError
from coresplit.records import SCHEMA

Document = dict[str, Any]
Upgrader = Callable[[Document], Document]

UPGRADERS: dict[int, Upgrader] = {}


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
