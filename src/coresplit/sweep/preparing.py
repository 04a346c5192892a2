"""Prepare the instances of a sweep in slices of time; the sweep measures in between."""

import math
import time
from collections.abc import Callable, Iterable

from coresplit.errors import InstanceError, InstanceTimeout
from coresplit.format import format_duration
from coresplit.instance import PREPARE_TIMEOUT_S, Interrupt, Ready
from coresplit.records import Cell, Prepared
from coresplit.sweep.order import Efforts, in_order
from coresplit.sweep.pool import Key, Pool, key_of

POLL_S = 0.5

Done = Callable[[Cell, InstanceError | None], None]
"""Called for every instance that became ready (None) or failed (its error)."""


class Preparer:
    """Prepares the instances of ``cells`` in the order of ``efforts``, ``together`` at a time.

    Nothing may be measured while ``run`` runs. Instances that are not ready at the end of a slice
    are paused, so that they take no core from measurements, and continue in the next slice.
    """

    def __init__(
        self,
        pool: Pool,
        cells: Iterable[Cell],
        efforts: Efforts,
        *,
        together: int,
        clock: Callable[[], float],
        interrupt: Interrupt | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._together = together
        self._interrupt = interrupt
        self._efforts = efforts
        by_key = {key_of(cell): cell for cell in cells}
        ordered = in_order(by_key, efforts)
        self._cost = {by_key[key]: seconds for key, seconds in ordered}
        self._waiting = list(self._cost)
        self._begun: dict[Cell, float] = {}
        self._made: set[str] = set()

    @property
    def unready(self) -> list[Cell]:
        """One cell of every instance that is not ready yet; started ones come first."""
        return [*self._begun, *self._waiting]

    @property
    def next_s(self) -> float:
        """Expected seconds until the next one is ready; infinite if none is left."""
        cost = (max(0.0, self._cost[cell] - self._begun.get(cell, 0.0)) for cell in self.unready)
        return next(cost, math.inf)

    def is_worth(self, left: float, anyway: bool) -> bool:
        """True if another one is expected to be ready in ``left`` seconds, or ``anyway``."""
        return bool(self.unready) and (anyway or self.next_s < left)

    def run(
        self,
        seconds: float,
        done: Done,
        failed: Callable[[Cell], bool],
        *,
        compilers: bool = True,
        most: int | None = None,
    ) -> None:
        """Prepare for ``seconds``, or until ``most`` more are ready.

        Instances that ``failed`` are left out, and so are ``compilers`` if false. If memory holds
        no more, the rest is opened when it is measured, except for compilers: they replace other
        instances.
        """
        deadline = self._clock() + seconds
        self._forget_lost()
        for cell in self._begun:
            self._pool.resume(cell)
        try:
            while most is None or most > 0:
                self._start(failed, compilers=compilers)
                left = deadline - self._clock()
                if not self._begun or left <= 0 or self._interrupted:
                    return
                answered = self._answered(left)
                if answered is not None:
                    self._finish(answered, done)
                    most = most and most - 1
        finally:
            for cell in self._begun:
                self._pool.pause(cell)

    @property
    def _interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.requested

    def _start(self, failed: Callable[[Cell], bool], *, compilers: bool) -> None:
        """Start as many as may prepare at once."""
        self._waiting = [cell for cell in self._waiting if not failed(cell)]
        while len(self._begun) < self._together:
            chosen = next((cell for cell in self._waiting if self._may_start(cell)), None)
            if chosen is None or (self._compiles(chosen) and not compilers):
                return
            if not self._pool.has_room and not self._compiles(chosen):
                self._waiting = [cell for cell in self._waiting if self._compiles(cell)]
                continue
            if not self._pool.has_room and self._begun:
                return
            self._waiting.remove(chosen)
            self._pool.open(chosen)
            self._begun[chosen] = 0.0

    def _may_start(self, cell: Cell) -> bool:
        """True if it would not have to wait for packed instances or for an artefact."""
        if self._begun and "packed" in {cell.setting, *(each.setting for each in self._begun)}:
            return False
        being_made = {self._artefact(each) for each in self._begun} - self._made - {""}
        return self._artefact(cell) not in being_made

    def _answered(self, left: float) -> Cell | None:
        """A started one that is ready, has failed or timed out; None after a short wait."""
        first = next(iter(self._begun))
        for cell in self._begun:
            if self._pool.answered(cell, 0.0):
                return cell
        begin = self._clock()
        answered = self._pool.answered(first, min(left, POLL_S), self._interrupt)
        for cell in self._begun:
            self._begun[cell] += self._clock() - begin
        return first if answered or self._begun[first] >= PREPARE_TIMEOUT_S else None

    def _finish(self, cell: Cell, done: Done) -> None:
        took = self._begun.pop(cell)
        try:
            if took >= PREPARE_TIMEOUT_S and not self._pool.answered(cell, 0.0):
                self._pool.drop(cell)
                raise InstanceTimeout(f"was not ready within {format_duration(took)} and was ended")
            self._pool.get(cell, self._interrupt)
        except InstanceError as error:
            done(cell, error)
        else:
            self._made.add(self._artefact(cell))
            done(cell, None)

    def _forget_lost(self) -> None:
        """Put instances that were closed while paused back into the queue."""
        lost = [cell for cell in self._begun if not self._pool.holds(cell)]
        for cell in lost:
            del self._begun[cell]
        self._waiting = lost + self._waiting

    def _compiles(self, cell: Cell) -> bool:
        return self._efforts(key_of(cell)).compiles

    def _artefact(self, cell: Cell) -> str:
        return self._efforts(key_of(cell)).artefact


def entry_of(key: Key, ready: Ready) -> Prepared:
    """The journal entry of an instance that became ready now."""
    return Prepared(
        at=time.time(),
        optimization=key.optimization,
        threads=key.threads,
        mapping=key.mapping,
        allocator=key.allocator,
        setting=key.setting,
        start_s=ready.start_s,
        prepare_s=ready.prepare_s,
        error=ready.error,
        agreement=ready.agreement,
        compared=ready.compared,
        largest_tensor=ready.largest_tensor,
        facts=ready.facts,
    )
