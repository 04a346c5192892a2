"""Reserve cores, and wait or fail if another measurement has reserved them."""

import time
from types import TracebackType
from typing import Self

from coresplit.errors import CoresInUse
from coresplit.instance import Interrupt
from coresplit.machine.reservation import Reservation
from coresplit.models import is_fake
from coresplit.records import Machine
from coresplit.workflows.request import Note

POLL_S = 1.0


class Cores:
    """Cores that are reserved from ``reserve`` until the end of a ``with``.

    If they are in use, ``reserve`` raises CoresInUse, or tells ``note`` and waits for them.
    """

    def __init__(self, interrupt: Interrupt, *, wait: bool, note: Note) -> None:
        self._interrupt = interrupt
        self._wait = wait
        self._note = note
        self._reservation = Reservation()

    def reserve(self, model: str, machine: Machine) -> None:
        """Reserve all usable cores; harmless if they are reserved already or fake."""
        if is_fake(model):
            return
        said = False
        while True:
            try:
                self._reservation.take(machine.usable_cores)
            except CoresInUse as error:
                if not self._wait:
                    raise CoresInUse(
                        error.what, f"{error.remedy}; {{option}} waits for it", "wait=True"
                    ) from None
                if self._interrupt.requested:
                    raise KeyboardInterrupt from error
                if not said:
                    self._note(f"waiting: {error}")
                    said = True
                time.sleep(POLL_S)
            else:
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
