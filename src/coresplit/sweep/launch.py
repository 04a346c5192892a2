"""Starting the instances of a sweep, and asking the first ready one what the model is."""

from collections.abc import Callable, Iterable

from coresplit.errors import InstanceError
from coresplit.instance import Instance, Interrupt, Ready
from coresplit.records import Cell
from coresplit.sweep.pool import Key, key_of


class Launcher:
    """Opens instances; those of ``probe`` are started early and handed out by ``open`` later."""

    def __init__(self, start: Callable[[Cell], Instance]) -> None:
        self._start = start
        self._early: dict[Key, Instance] = {}

    def open(self, cell: Cell) -> Instance:
        """The instance for a cell: the one started early, or a fresh one."""
        early = self._early.pop(key_of(cell), None)
        return early if early is not None else self._start(cell)

    def probe(
        self, cells: Iterable[Cell], together: int, interrupt: Interrupt | None = None
    ) -> Ready:
        """Start ``together`` instances at once and return what the first ready one reads back.

        An instance that fails is left to its own cells to report. Raises the last InstanceError
        where none becomes ready.
        """
        error: InstanceError | None = None
        # the copies of a packed cell take all cores, and a single instance tells as much
        ordered = sorted(cells, key=lambda cell: cell.setting == "packed")
        wanted = list({key_of(cell): cell for cell in ordered}.items())
        alone = [(key, cell) for key, cell in wanted if cell.setting == "isolated"]
        for key, cell in alone[:together]:
            self._early[key] = self._start(cell)
        for key, cell in wanted:
            instance = self._early.get(key) or self._start(cell)
            self._early[key] = instance
            try:
                return instance.wait_ready(interrupt)
            except InstanceError as failure:
                error = failure
                self._early.pop(key).close()
                if interrupt is not None and interrupt.requested:
                    break
        assert error is not None
        raise error

    def close(self) -> None:
        """End the instances that were started and never asked for."""
        while self._early:
            _, instance = self._early.popitem()
            instance.close()
