"""Progress: on a terminal, a bar for a sweep and one line for the rest; else plain lines."""

import math
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from coresplit.cli.output import plain, say
from coresplit.format import format_duration
from coresplit.sweep import Progress as SweepProgress

LINE_GAP_S = 10.0


class Status:
    """One status line; drawn only when ``show`` is called, like ``Display``."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said_at = -LINE_GAP_S
        self._width = 0

    def __enter__(self) -> "Status":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._terminal:
            self._draw("")

    def show(self, doing: str) -> None:
        """Show the current activity."""
        if self._terminal:
            self._draw(doing)
        elif time.monotonic() - self._said_at >= LINE_GAP_S:
            self._said_at = time.monotonic()
            say(doing)

    def _draw(self, text: str) -> None:
        """Overwrite the line and leave the cursor at its start."""
        sys.stderr.write(f"\r{plain(text).ljust(self._width)}\r")
        sys.stderr.flush()
        self._width = len(text)


class Display:
    """Shows the current cell, the cells done and the time left.

    The bar is drawn only when the sweep reports, between two visits: a redraw thread would run on
    the cores being measured.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said_at = -LINE_GAP_S
        self._task: TaskID | None = None
        self._bar = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )

    def __enter__(self) -> "Display":
        if self._terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._terminal:
            self._bar.stop()

    def show(self, progress: SweepProgress) -> None:
        """Show the progress of the sweep."""
        left = progress.left_s
        share = progress.elapsed_s / max(1e-9, progress.elapsed_s + left)
        state = f"{progress.covered}/{progress.cells} cells, {progress.settled} settled"
        if math.isfinite(left):
            state += f", {format_duration(max(1.0, left))} left"
        if self._terminal:
            if self._task is None:
                self._task = self._bar.add_task(progress.doing, total=1.0, state=state)
            self._bar.update(
                self._task, completed=share, description=progress.doing, state=state, refresh=True
            )
        elif time.monotonic() - self._said_at >= LINE_GAP_S:
            self._said_at = time.monotonic()
            say(f"{progress.doing}: {state}")
