"""Seats, each of which holds one instance of a server, and the interfaces they are used with."""

import asyncio
from typing import Protocol

from coresplit.errors import InstanceError
from coresplit.instance import Inferred, Ready, ServingInstance
from coresplit.serving.dividing import Latencies
from coresplit.serving.queue import Part
from coresplit.serving.sets import Place

PATIENCE, WAITED_S = 2.0, 1.0
"""A busy core is waited for ``PATIENCE`` times its batch's expected latency plus ``WAITED_S``."""


class Seat:
    """One instance: its current process, its batch, and its history.

    It is ``active`` while its set serves, else parked. A ``leaving`` instance ends after its batch,
    and is ``dismissed`` once it was told to end. ``fault`` is why it could not be made ready.
    """

    def __init__(self, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self.threads = place.threads
        self.active = False
        self.leaving = False
        self.dismissed = False
        self.removed = False
        self.instance: ServingInstance | None = None
        self.ready: Ready | None = None
        self.batch: tuple[Part, ...] = ()
        self.latencies: Latencies | None = None
        self.begun_at = 0.0
        self.busy_until = 0.0
        self.ready_at = 0.0
        self.pause_s = 0.0
        self.restarts = 0
        self.tries = 0
        self.timer: asyncio.TimerHandle | None = None
        self.lost: InstanceError | None = None
        self.lost_at = 0.0
        self.fault: InstanceError | None = None
        self.was_steady = False

    @property
    def idle(self) -> bool:
        """Whether the instance can take a batch."""
        return self.ready is not None and not self.batch

    @property
    def rows(self) -> int:
        """Rows being computed."""
        return sum(part.count for part in self.batch)

    @property
    def waited_until(self) -> float:
        """Until when instances of another set wait for the cores of this one."""
        return self.begun_at + PATIENCE * (self.busy_until - self.begun_at) + WAITED_S


class Observer(Protocol):
    """Is told of events, for metrics and logs."""

    def computed(self, instance: int, rows: int, compute_s: float) -> None:
        """A batch was computed."""

    def lost(self, instance: int, reason: str) -> None:
        """An instance died, overran its deadline or grew too large."""

    def retried(self, requests: int) -> None:
        """This many requests of a lost batch run again."""

    def ready(self, instance: int, ready: Ready) -> None:
        """An instance is ready."""


class Owner(Protocol):
    """The engine as the crew sees it: told of results and changes."""

    def computed(self, seat: Seat, batch: tuple[Part, ...], reply: Inferred) -> None:
        """A batch is done."""

    def failed(self, batch: tuple[Part, ...], reason: str) -> None:
        """A batch was lost with its instance, or failed in its forward."""

    def check(self, ready: Ready) -> None:
        """Raise InstanceError for an instance that cannot be used."""

    def ready(self, seat: Seat) -> None:
        """An instance is ready."""

    def changed(self) -> None:
        """An instance has become ready or idle, or was lost."""
