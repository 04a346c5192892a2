"""What is wanted of a switcher, how it ended, and who hears of it."""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from coresplit.serving.seats import Seat
from coresplit.serving.sets import InstanceSet

Result = Literal["made", "failed", "replaced", "refused"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the wish for a set ended: it serves, or why not, and seconds since it was asked for.

    A wish is ``replaced`` by a later one, and ``refused`` where there is no memory for it.
    ``started`` is how many instances had to be started.
    """

    set: str
    result: Result
    reason: str = ""
    seconds: float
    started: int = 0


class Hearer(Protocol):
    """Hears of changes, for metrics and logs."""

    def switching(self, event: dict[str, object]) -> None:
        """Something happened, as JSON tells it."""

    def switched(self, outcome: Outcome) -> None:
        """A wish has ended."""


class Wish:
    """A set that is wanted, ``ahead`` where it is only to wait warm; ``at`` is when it was wished.

    ``seats`` are those of its instances, ``started`` the ones that were not there.
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
