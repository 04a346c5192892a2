"""Types of option values: parsing, validation and shell completion."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from coresplit.errors import UsageError
from coresplit.units import parse_duration, parse_numbers, parse_share, parse_size

Known = Callable[[], Iterable[str]]
"""Returns names for shell completion; called lazily because it may need slow imports."""


class Duration(click.ParamType[float]):
    """A duration in seconds: ``90s``, ``10m``, ``1h``; ``none`` is infinite if ``endless``."""

    name = "time"

    def __init__(self, *, endless: bool = False) -> None:
        self._endless = endless

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds; fail with a hint at the right format."""
        if isinstance(value, float):
            return value
        if value == "none" and self._endless:
            return math.inf
        try:
            return parse_duration(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[int]):
    """A size in bytes: ``512MiB``, ``4GiB``."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return bytes; fail with a hint at the right format."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Share(click.ParamType[float]):
    """A percentage as a fraction: ``2%`` is 0.02."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return a number between 0 and 1; fail with a hint at the right format."""
        if isinstance(value, float):
            return value
        try:
            return parse_share(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Numbers(click.ParamType[tuple[int, ...] | None]):
    """A list of integers: ``1-16``, ``1,2,4`` or ``1,2,4..1024``."""

    name = "list"

    def __init__(self, what: str) -> None:
        self._what = what

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...] | None:
        """Return ascending numbers, None for ``auto``; fail with the reason."""
        if isinstance(value, tuple) or value == "auto":
            return value if isinstance(value, tuple) else None
        try:
            return parse_numbers(str(value), self._what)
        except UsageError as error:
            self.fail(str(error), param, ctx)


class Names(click.ParamType[tuple[str, ...]]):
    """Comma-separated names, limited to ``choices`` if there are any."""

    name = "list"

    def __init__(self, what: str, known: Known, choices: Sequence[str] = ()) -> None:
        self._what = what
        self._known = known
        self._choices = choices

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names; fail if one is empty, repeated or not among the choices."""
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names):
            self.fail(f"'{value}' has an empty entry; separate names by one comma", param, ctx)
        for index, name in enumerate(names):
            if name in names[:index]:
                self.fail(f"'{value}' repeats {name}; name each once", param, ctx)
            if self._choices and name not in self._choices:
                self.fail(
                    f"unknown {self._what} '{name}'; choose from {', '.join(self._choices)}",
                    param,
                    ctx,
                )
        return names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the completions of the last entry."""
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self._known()
            if name.startswith(last) and name not in given
        ]


class Name(click.ParamType[str]):
    """Any name; completes the known ones."""

    name = "name"

    def __init__(self, known: Known) -> None:
        self._known = known

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the known names that start with ``incomplete``."""
        return [CompletionItem(name) for name in self._known() if name.startswith(incomplete)]


class Model(Name):
    """A model: a known name, or a file or folder."""

    name = "model"

    def __init__(self) -> None:
        super().__init__(models)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete known names and files."""
        found = super().shell_complete(ctx, param, incomplete)
        return [*found, CompletionItem(incomplete, type="file")]


class RunFolder(click.Path):
    """A run folder; completes those in this folder and in ``runs``."""

    name = "run"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete run folders here and in ``runs``; any folder if there are none."""
        found = [str(path) for path in run_folders() if str(path).startswith(incomplete)]
        if not found:
            return [CompletionItem(incomplete, type="dir")]
        return [CompletionItem(path) for path in found]


def run_folders(here: Path = Path()) -> list[Path]:
    """Return the run folders in ``here`` and in its folder ``runs``."""
    return sorted(
        manifest.parent for manifest in (*here.glob("*/run.json"), *here.glob("runs/*/run.json"))
    )


def models() -> Iterable[str]:
    """Return the names of the built-in models and the fake one."""
    from coresplit.models import MODELS  # noqa: PLC0415 (only to complete)

    return [*MODELS, "fake"]


def optimizations() -> Iterable[str]:
    """Return the names of the optimizations."""
    from coresplit.optimizations import OPTIMIZATIONS  # noqa: PLC0415 (only to complete)

    return OPTIMIZATIONS


def optimizations_or_all() -> Iterable[str]:
    """Return the names of the optimizations, and ``all``."""
    return ["all", *optimizations()]


def allocators() -> Iterable[str]:
    """Return the names of the allocators."""
    from coresplit.machine.allocators import ALLOCATORS  # noqa: PLC0415 (only to complete)

    return ALLOCATORS
