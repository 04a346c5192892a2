"""What callers of the Python interface give, checked by type and refused by name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from coresplit.errors import UsageError
from coresplit.results import Run
from coresplit.workflows.planning import PlanRequest
from coresplit.workflows.request import ALL, BenchRequest

Request = TypeVar("Request", BenchRequest, PlanRequest)
_LISTS = {"optimizations", "threads", "batches", "mapping", "allocator", "setting", "input"}


def path_of(path: object, name: str) -> Path:
    """A path given as text, path or run; raises UsageError that names what was given instead."""
    if isinstance(path, Run):
        return path.path
    if not isinstance(path, str | Path):
        raise UsageError(f"{name} is of type {type(path).__name__}; give a path")
    if not str(path):
        raise UsageError(f"{name} is empty; give it a value or leave it out")
    return Path(path)


def several(values: Iterable[Any], name: str) -> Iterable[Any]:
    """A list of paths; raises UsageError for a single one."""
    if isinstance(values, str | bytes | Path):
        raise UsageError(f"{name} is one {type(values).__name__}; give a list of them")
    return values


def listed(values: Any) -> Any:  # noqa: ANN401 (checked by what it is converted to)
    """Any sequence as a tuple; what is none is refused by its type later."""
    plain = isinstance(values, str | bytes | dict) or not isinstance(values, Iterable)
    return values if plain else tuple(values)


def request_of(kind: type[Request], **values: object) -> Request:
    """The request with these values; raises UsageError that names one of a wrong type."""
    for name, value in values.items():
        if isinstance(value, str) and name in _LISTS and (name, value) != ("optimizations", ALL):
            raise UsageError(f"{name} is the text '{value}'; give a list such as ['{value}']")
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        name = where.strip("`").partition("[")[0]
        raise UsageError(f"{name}: {what[0].lower()}{what[1:]}", option=name) from error
