"""Waiting for cores that another measurement has reserved, or refusing to."""

import math
import time
from types import TracebackType
from typing import Self

from coresplit.cli.output import say
from coresplit.errors import CoresInUse
from coresplit.instance import Interrupt
from coresplit.machine.reservation import Reservation
from coresplit.records import Machine

POLL_S = 1.0


class Cores:
    """The cores of a command, reserved from ``reserve`` until the command ends.

    Where they are in use, ``reserve`` raises CoresInUse, or waits if the user said so.
    ``reserved_at`` is when that was done, on the monotonic clock.
    """

    def __init__(self, interrupt: Interrupt, *, wait: bool) -> None:
        self._interrupt = interrupt
        self._wait = wait
        self._reservation = Reservation()
        self.reserved_at = -math.inf

    def reserve(self, machine: Machine) -> None:
        """Reserve all usable cores; harmless where they are reserved already."""
        said = False
        while True:
            try:
                self._reservation.take(machine.usable_cores)
            except CoresInUse as error:
                if not self._wait:
                    raise CoresInUse(f"{error}; --wait waits for it") from None
                if self._interrupt.requested:
                    raise KeyboardInterrupt from error
                if not said:
                    say(f"waiting: {error}")
                    said = True
                time.sleep(POLL_S)
            else:
                if math.isinf(self.reserved_at):
                    self.reserved_at = time.monotonic()
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reservation.close()
