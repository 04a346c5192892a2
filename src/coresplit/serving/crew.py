"""All instances of a server: start them, listen, enforce deadlines, replace and end them."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec

from coresplit.errors import CoresplitError, InstanceDied, InstanceError
from coresplit.instance import Infer, Inferred, Ready, ServingInstance
from coresplit.instance.memory import resident
from coresplit.instance.messages import Failure as InstanceFailure
from coresplit.instance.messages import Reply
from coresplit.serving.failures import start_failure
from coresplit.serving.queue import Part, rows_computed
from coresplit.serving.seats import Observer, Owner, Seat
from coresplit.serving.sets import Place

LONGEST_PAUSE_S = 30.0
"""Longest pause before a dead instance is restarted; it doubles while the instance keeps dying."""
STEADY_S = 5.0
"""An instance that was ready for longer than this starts over with the first pause."""
HOPEFUL_S = 1.0
"""An instance whose restart pause is longer than this does not count as recovering."""
ATTEMPTS = 3
"""A parked instance is given up after this many failures without a steady time in between."""
LOOK_S = 1.0
DYING_S = 5.0
"""An instance that closed its pipe is killed after this; until then it may report why it ended."""
LOOK_AT_DEAD_S = 0.001, 0.1
"""First and longest interval between checks whether an ending instance is gone; it doubles."""


class CrewSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds; an instance may grow to ``memory_factor`` times its memory when ready."""

    prepare_s: float = 1800.0
    first_pause_s: float = 0.1
    memory_factor: float = 3.0


Start = Callable[[Place, bool], ServingInstance]
"""Starts the instance of a place; at low priority if the second argument, ``quietly``, is true."""


class Crew:
    """A pool of seats whose instances ``start`` creates, on the event loop of the main thread."""

    def __init__(
        self, start: Start, settings: CrewSettings, observer: Observer, owner: Owner
    ) -> None:
        self.seats: list[Seat] = []
        self.fault: InstanceError | None = None
        self.restarts = 0
        self.memory: dict[Place, int] = {}
        self.peak: dict[Place, int] = {}
        """Memory of instances once ready, and their peak until then; kept after they are gone."""
        self._numbers: dict[Place, int] = {}
        self._start = start
        self._settings = settings
        self._observer = observer
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._looking = self._loop.call_later(LOOK_S, self._look)

    @property
    def alive(self) -> int:
        """Instances of the active set that are ready."""
        return sum(seat.active and seat.ready is not None for seat in self.seats)

    @property
    def recovering(self) -> bool:
        """Whether an instance that was ready before is being restarted and may soon be ready."""
        return any(
            seat.active and seat.ready_at and seat.pause_s <= HOPEFUL_S for seat in self.seats
        )

    @property
    def places(self) -> dict[Place, Seat]:
        """The seats by place, except those told to end."""
        return {seat.place: seat for seat in self.seats if not seat.dismissed}

    def seat(self, place: Place) -> Seat:
        """Return the seat of a place: the existing one, or a new one that is not opened yet."""
        found = self.places.get(place)
        if found is None:
            # a place that returns keeps its number
            found = Seat(self._numbers.setdefault(place, len(self._numbers)), place)
            self.seats.append(found)
        found.leaving = False
        return found

    def open(self, seats: Iterable[Seat]) -> None:
        """Start instances, at low priority unless their set is active."""
        for seat in seats:
            self._open(seat)

    def drop(self, seat: Seat) -> None:
        """End an instance once its current batch is done."""
        seat.leaving = True
        if not seat.batch and not seat.dismissed:
            self._dismiss(seat)

    def close(self) -> list[Part]:
        """End all instances and return the parts that they were computing."""
        self._closing = True
        self._looking.cancel()
        left = [part for seat in self.seats for part in seat.batch]
        for seat in self.seats:
            self._leave(seat)
            if seat.instance is not None:
                seat.instance.end()
        for seat in self.seats:
            self._close(seat)
            seat.batch = ()
        return left

    def compute(
        self, seat: Seat, batch: tuple[Part, ...], command: Infer, patience_s: float
    ) -> None:
        """Send a batch to an idle instance; after ``patience_s`` seconds the instance is lost."""
        assert seat.instance is not None
        seat.batch = batch
        seat.begun_at = self._loop.time()
        self._set_timer(seat, patience_s, self._overran)
        try:
            seat.instance.send(command)
        except InstanceError as error:
            self._lose(seat, error)

    def _open(self, seat: Seat) -> None:
        seat.timer = None
        if self._closing or seat.removed:
            return
        try:
            seat.instance = self._start(seat.place, not seat.active)
        except (CoresplitError, OSError) as error:
            self._lose(seat, start_failure(error))
            return
        self._loop.add_reader(seat.instance.fileno(), self._heard, seat)
        self._set_timer(seat, self._settings.prepare_s, self._overran)

    def _heard(self, seat: Seat) -> None:
        """Read replies; called when the pipe is readable or the instance has died."""
        instance = seat.instance
        while instance is not None and instance is seat.instance and seat.lost is None:
            try:
                reply = instance.poll()
                if reply is None:
                    return
                self._take(seat, reply)
            except InstanceError as error:
                self._lose(seat, error)
                return

    def _take(self, seat: Seat, reply: Reply) -> None:
        self._stop_timer(seat)
        if isinstance(reply, Ready):
            self._owner.check(reply)
            seat.ready, seat.fault, self.fault = reply, None, None
            seat.ready_at = self._loop.time()
            self.memory[seat.place] = reply.resident or reply.memory
            self.peak[seat.place] = reply.memory
            self._observer.ready(seat.number, reply)
            self._owner.ready(seat)
        elif isinstance(reply, InstanceFailure) and seat.ready is None:
            assert seat.instance is not None
            what = f"{seat.instance.spec}: {reply.message}"
            raise InstanceError(what, reply.remedy, reply.option)
        elif isinstance(reply, Inferred) and 0 < len(seat.batch) == len(reply.refused):
            batch, seat.batch = seat.batch, ()
            # start the next batches before answers are written
            self._owner.changed()
            if rows := rows_computed(batch, reply.refused):
                self._observer.computed(seat.number, rows, reply.compute_s)
            self._owner.computed(seat, batch, reply)
            self._let_go(seat)
            return
        elif isinstance(reply, InstanceFailure) and seat.batch:
            batch, seat.batch = seat.batch, ()
            self._owner.failed(batch, reply.message)
            self._let_go(seat)
        else:
            raise InstanceError(f"instance {seat.number} sent an unexpected reply")
        self._owner.changed()

    def _let_go(self, seat: Seat) -> None:
        if seat.leaving and not seat.batch and not seat.dismissed:
            self._dismiss(seat)

    def _dismiss(self, seat: Seat) -> None:
        """End an instance that computes nothing, and remove its seat."""
        seat.dismissed = True
        if seat.instance is not None:
            seat.instance.end()
        if seat.lost is None:
            seat.lost, seat.lost_at = InstanceError("it was let go"), self._loop.time()
            self._leave(seat)
            self._bury(seat, was_ready=False)

    def _overran(self, seat: Seat) -> None:
        seat.timer = None
        batch, ready = seat.batch, seat.ready
        # its reply may have arrived just now
        self._heard(seat)
        if seat.lost is not None or seat.batch is not batch or seat.ready is not ready:
            return
        what = "did not answer before its deadline" if seat.ready else "was not ready in time"
        self._lose(seat, InstanceError(f"instance {seat.number} {what}"))

    def _lose(self, seat: Seat, reason: InstanceError) -> None:
        """End an instance; its batch is not run again before it is certainly gone."""
        now = self._loop.time()
        seat.was_steady = seat.ready is not None and now - seat.ready_at > STEADY_S
        seat.lost, seat.lost_at = reason, now
        was_ready = seat.ready is not None
        self._leave(seat)
        if seat.instance is not None and not isinstance(reason, InstanceDied):
            seat.instance.end()
        self._bury(seat, was_ready)

    def _bury(self, seat: Seat, was_ready: bool, pause_s: float = LOOK_AT_DEAD_S[0]) -> None:
        """Once an instance is gone, start another after a pause and give its batch back."""
        seat.timer = None
        reason = seat.lost
        assert reason is not None
        if seat.instance is not None:
            death = seat.instance.death()
            if death is None:
                if self._loop.time() - seat.lost_at > DYING_S:
                    seat.instance.end()
                again = min(2 * pause_s, LOOK_AT_DEAD_S[1])
                seat.timer = self._loop.call_later(pause_s, self._bury, seat, was_ready, again)
                return
            reason = death if isinstance(reason, InstanceDied) else reason
        self._close(seat)
        batch, seat.batch, seat.lost = seat.batch, (), None
        if not seat.dismissed:
            self._replace(seat, reason, was_ready)
        else:
            self._remove(seat)
        if batch:
            self._owner.failed(batch, str(reason))
        self._owner.changed()

    def _replace(self, seat: Seat, reason: InstanceError, was_ready: bool) -> None:
        """Start another instance after a pause, unless it is leaving or failed too often."""
        self.restarts += 1
        seat.restarts += 1
        seat.tries = 1 if seat.was_steady else seat.tries + 1
        tried_again = isinstance(reason, InstanceDied) and seat.tries < ATTEMPTS
        seat.fault = seat.fault if was_ready or tried_again else reason
        hopeless = not seat.ready_at and seat.restarts >= ATTEMPTS
        if seat.active and not was_ready and (hopeless or not self.alive):
            self.fault = reason
        first = self._settings.first_pause_s
        again = min(LONGEST_PAUSE_S, 2 * seat.pause_s) or first
        seat.pause_s = first if seat.was_steady else again
        self._observer.lost(seat.number, str(reason))
        if seat.leaving or (not seat.active and seat.tries >= ATTEMPTS):
            self._remove(seat)
        else:
            self._set_timer(seat, seat.pause_s, self._open)

    def _remove(self, seat: Seat) -> None:
        self._stop_timer(seat)
        seat.removed = seat.dismissed = True
        self.seats.remove(seat)

    def _leave(self, seat: Seat) -> None:
        """Stop listening to an instance."""
        self._stop_timer(seat)
        seat.ready = None
        if seat.instance is not None:
            self._loop.remove_reader(seat.instance.fileno())

    def _close(self, seat: Seat) -> None:
        instance, seat.instance = seat.instance, None
        if instance is not None:
            instance.close()

    def _look(self) -> None:
        """Replace instances that have grown too large."""
        for seat in list(self.seats):
            if seat.instance is not None and seat.ready is not None:
                most = self._settings.memory_factor * seat.ready.memory
                if resident(seat.instance.pid) > most:
                    self._lose(seat, InstanceError(f"instance {seat.number} grew beyond its limit"))
        self._looking = self._loop.call_later(LOOK_S, self._look)

    def _set_timer(self, seat: Seat, seconds: float, call: Callable[[Seat], None]) -> None:
        self._stop_timer(seat)
        seat.timer = self._loop.call_later(seconds, call, seat)

    def _stop_timer(self, seat: Seat) -> None:
        if seat.timer is not None:
            seat.timer.cancel()
            seat.timer = None
