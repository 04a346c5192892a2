"""Requests to a switcher, their outcomes, and who is told of them."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from coresplit.serving.seats import Seat
from coresplit.serving.sets import InstanceSet

Result = Literal["made", "failed", "replaced", "refused"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a wish for a set ended, the reason if it failed, and seconds since it was made.

    A wish is ``replaced`` by a later one, and ``refused`` if there is no memory for it. ``started``
    is the number of instances that had to be started.
    """

    set: str
    result: Result
    reason: str = ""
    seconds: float
    started: int = 0


class Hearer(Protocol):
    """Is told of changes, for metrics and logs."""

    def switching(self, event: dict[str, object]) -> None:
        """Something happened; ``event`` can become JSON."""

    def switched(self, outcome: Outcome) -> None:
        """A wish has ended."""


class Wish:
    """A request for a set, made ``at`` a time; if ``ahead``, the set is only to wait warm.

    ``seats`` are the seats of its instances, ``started`` those that had to be started.
    """

    def __init__(
        self, wanted: InstanceSet, done: Callable[[Outcome], None], at: float, *, ahead: bool
    ) -> None:
        self.wanted = wanted
        self.done = done
        self.at = at
        self.ahead = ahead
        self.seats: list[Seat] = []
        self.started: list[Seat] = []
