"""The instances of a sweep: started, probed for the model, and kept alive as memory allows."""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Mapping as AbstractMapping

import msgspec

from coresplit.errors import InstanceError, ModelFault
from coresplit.instance import PREPARE_TIMEOUT_S, Host, Instance, Interrupt, Ready
from coresplit.records import Cell, Mapping, Measurement, Setting

MEMORY_SHARE = 0.5
"""Share for instances of the memory that is free before the first; the rest is for forwards."""


class Key(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Identifies an instance, which runs every batch of these settings."""

    optimization: str
    threads: int
    mapping: Mapping
    allocator: str
    setting: Setting = "isolated"


def key_of(cell: Cell) -> Key:
    """The instance that a cell is measured in."""
    return Key(
        optimization=cell.optimization,
        threads=cell.threads,
        mapping=cell.mapping,
        allocator=cell.allocator,
        setting=cell.setting,
    )


def processes_of(done: Iterable[Measurement]) -> dict[Key, int]:
    """How many processes each instance of an earlier sweep has used."""
    found: dict[Key, int] = {}
    for each in done:
        key = key_of(each.cell)
        for visit in each.visits:
            found[key] = max(found.get(key, 0), visit.process + 1)
    return found


Started = dict[Key, Instance]
"""Instances that were started before the sweep; it takes them from here."""
Opened = Callable[[Key, Ready], None]


class Pool:
    """Opens instances on demand and closes the least recently used if memory runs short.

    ``started`` holds instances that are already alive and are used on demand. ``on_ready`` is
    called for every instance that becomes ready. ``opened_before`` counts the processes that an
    earlier sweep of the run used per instance. Instances may take half of the memory that is free
    at first.
    """

    def __init__(
        self,
        host: Host,
        on_ready: Opened,
        started: Started,
        opened_before: AbstractMapping[Key, int] | None = None,
    ) -> None:
        self._host = host
        self._on_ready = on_ready
        self._started = started
        self._reserve = (1 - MEMORY_SHARE) * host.available_memory()
        self._alive: OrderedDict[Key, Instance] = OrderedDict()
        self._ready: set[Key] = set()
        self._crowded = False
        self._opened = Counter(opened_before or {})

    @property
    def has_room(self) -> bool:
        """True if memory allows another instance."""
        return not self._alive or self._host.available_memory() > self._reserve

    def open(self, cell: Cell) -> None:
        """Start the instance of a cell unless it is alive; closes others if needed."""
        if not self.holds(cell):
            self._make_room()
            key = key_of(cell)
            early = self._started.pop(key) if key in self._started else None
            self._alive[key] = early or self._host.start(cell)
            self._opened[key] += 1

    def holds(self, cell: Cell) -> bool:
        """True if the instance of a cell is alive."""
        return key_of(cell) in self._alive

    def answered(self, cell: Cell, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """True if a live instance is ready or has failed; waits up to ``timeout`` seconds."""
        return self._alive[key_of(cell)].answered(timeout, interrupt)

    def pause(self, cell: Cell) -> None:
        """Pause a live instance, so that it computes nothing until it is resumed."""
        self._alive[key_of(cell)].pause()

    def resume(self, cell: Cell) -> None:
        """Resume a live instance; no effect if it is not paused."""
        self._alive[key_of(cell)].resume()

    def ready(self) -> Iterator[tuple[Key, Instance]]:
        """The instances that are ready now."""
        return ((key, self._alive[key]) for key in sorted(self._ready))

    def get(
        self, cell: Cell, interrupt: Interrupt | None = None, timeout: float = math.inf
    ) -> Instance:
        """Return the ready instance of a cell; raises the InstanceError if it fails to get ready.

        ``timeout`` is the number of seconds to wait for it.
        """
        key = key_of(cell)
        self.open(cell)
        self._alive.move_to_end(key)
        instance = self._alive[key]
        if key not in self._ready:
            instance.resume()
            try:
                ready = instance.wait_ready(interrupt, min(PREPARE_TIMEOUT_S, max(1.0, timeout)))
            except InstanceError:
                self.drop(cell)
                raise
            self._ready.add(key)
            self._on_ready(key, ready)
        return instance

    def is_near(self, cell: Cell) -> bool:
        """True if a cell needs no change of instance; always, until one had to make room."""
        return not self._crowded or next(reversed(self._alive), None) == key_of(cell)

    @property
    def crowded(self) -> bool:
        """True if instances take turns because memory cannot hold them all."""
        return self._crowded

    def process_of(self, cell: Cell) -> int:
        """The number of the process that the instance of a cell runs in now, from 0."""
        return self._opened[key_of(cell)] - 1

    def drop(self, cell: Cell) -> None:
        """Close the instance of a cell, so that the next ``get`` opens a new one."""
        key = key_of(cell)
        self._ready.discard(key)
        instance = self._alive.pop(key, None)
        if instance is not None:
            instance.close()

    def close(self) -> None:
        """Close all instances."""
        while self._alive:
            _, instance = self._alive.popitem()
            instance.close()
        self._ready.clear()

    def _make_room(self) -> None:
        while not self.has_room:
            self._crowded = True
            key, instance = self._alive.popitem(last=False)
            self._ready.discard(key)
            instance.close()


def probe(
    host: Host, cells: Iterable[Cell], interrupt: Interrupt | None = None
) -> tuple[Ready, Started]:
    """Start as many instances as may prepare at once; return the first ``Ready`` and them all.

    If an instance fails, its own cells report it later; other optimizations are tried before more
    instances of one that failed. Raises a ModelFault at once, because every instance would fail
    with it. If none becomes ready, raises one InstanceError with the reason of each optimization.
    On any error no instance is left alive.
    """
    errors: dict[str, InstanceError] = {}
    started: Started = {}
    # the copies of a packed cell take all cores, and a single instance reads back the same
    ordered = sorted(cells, key=lambda cell: cell.setting == "packed")
    wanted = list({key_of(cell): cell for cell in ordered}.items())
    alone = [(key, cell) for key, cell in wanted if cell.setting == "isolated"]
    try:
        for key, cell in alone[: host.together]:
            started[key] = host.start(cell)
        while wanted:
            wanted.sort(key=lambda each: each[0].optimization in errors)
            key, cell = wanted.pop(0)
            instance = started.get(key) or host.start(cell)
            started[key] = instance
            try:
                return instance.wait_ready(interrupt), started
            except InstanceError as failure:
                errors.setdefault(key.optimization, failure)
                started.pop(key).close()
                if isinstance(failure, ModelFault) or (interrupt and interrupt.requested):
                    raise
        raise _joined(tuple(errors.values()))
    except BaseException:
        close_all(started)
        raise


def close_all(started: Started) -> None:
    """Close instances that were started and are no longer needed."""
    while started:
        _, instance = started.popitem()
        instance.close()


def _joined(errors: tuple[InstanceError, ...]) -> InstanceError:
    """Combine several errors; a reason that all share is given once."""
    reasons = {str(each).partition(": ")[2] or str(each) for each in errors}
    if len(reasons) == 1:
        return errors[0]
    return InstanceError(f"no optimization can be prepared: {'; '.join(map(str, errors))}")
