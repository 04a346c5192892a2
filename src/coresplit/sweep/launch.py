"""Starting the instances of a sweep, and asking the first ready one what the model is."""

from collections.abc import Callable, Iterable

from coresplit.errors import InstanceError, ModelFault
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

        An instance that fails is left to its own cells to report; other optimizations are tried
        before more instances of one that failed. Raises a ModelFault at once, as every instance
        would, and where none becomes ready one InstanceError with the reason of each optimization.
        """
        errors: dict[str, InstanceError] = {}
        # the copies of a packed cell take all cores, and a single instance tells as much
        ordered = sorted(cells, key=lambda cell: cell.setting == "packed")
        wanted = list({key_of(cell): cell for cell in ordered}.items())
        alone = [(key, cell) for key, cell in wanted if cell.setting == "isolated"]
        for key, cell in alone[:together]:
            self._early[key] = self._start(cell)
        while wanted:
            wanted.sort(key=lambda each: each[0].optimization in errors)
            key, cell = wanted.pop(0)
            instance = self._early.get(key) or self._start(cell)
            self._early[key] = instance
            try:
                return instance.wait_ready(interrupt)
            except InstanceError as failure:
                errors.setdefault(key.optimization, failure)
                self._early.pop(key).close()
                if isinstance(failure, ModelFault) or (interrupt and interrupt.requested):
                    raise
        raise _joined(tuple(errors.values()))

    def close(self) -> None:
        """End the instances that were started and never asked for."""
        while self._early:
            _, instance = self._early.popitem()
            instance.close()


def _joined(errors: tuple[InstanceError, ...]) -> InstanceError:
    """One error of several; what all of them say is said once."""
    reasons = {str(each).partition(": ")[2] or str(each) for each in errors}
    if len(reasons) == 1:
        return errors[0]
    return InstanceError(f"no optimization can be prepared: {'; '.join(map(str, errors))}")
