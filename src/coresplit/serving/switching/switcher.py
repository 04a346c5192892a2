"""The steps of a change from one set to another, while requests are served.

Nothing here blocks: the engine calls back when an instance becomes ready or is lost.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from coresplit.format import format_size
from coresplit.instance.memory import resident
from coresplit.serving.engine import Engine
from coresplit.serving.sets import InstanceSet, expected_memory, kept, missing
from coresplit.serving.switching.wishes import Hearer, Outcome, Result, Wish

MOST_EVENTS = 50
MOST_SETS = 50
"""Most sets to remember that are neither active nor resident."""


class Switcher:
    """Changes the active set of an engine, one change at a time.

    During a change the next one waits, and a later one replaces it. ``free`` returns the free bytes
    of memory. All instances together may take ``most_bytes``; the active set and a set being
    changed to may exceed it. ``clock`` is that of the engine.
    """

    def __init__(
        self,
        engine: Engine,
        hearer: Hearer,
        clock: Callable[[], float],
        *,
        free: Callable[[], float],
        most_bytes: float,
    ) -> None:
        self.most_bytes = most_bytes
        self.events: deque[dict[str, object]] = deque(maxlen=MOST_EVENTS)
        self._engine = engine
        self._crew = engine.crew
        self._hearer = hearer
        self._clock = clock
        self._free = free
        self._sets: OrderedDict[str, InstanceSet] = OrderedDict()
        """Most recently active first."""
        self._lasting: set[str] = set()
        self._now: Wish | None = None
        self._next: Wish | None = None
        self.know(engine.active)
        engine.on_change = self._look

    @property
    def sets(self) -> tuple[InstanceSet, ...]:
        """All known sets, the most recently active first."""
        return tuple(self._sets.values())

    @property
    def active(self) -> str:
        """The name of the active set."""
        return self._engine.active.name

    @property
    def preparing(self) -> str | None:
        """The name of the set being changed to or prepared; None if none is."""
        return self._now.wanted.name if self._now else None

    @property
    def queued(self) -> str | None:
        """The name of the set that is next in line; None if none is."""
        return self._next.wanted.name if self._next else None

    def know(self, each: InstanceSet, *, lasting: bool = False) -> None:
        """Remember a set, for good if ``lasting``.

        A known set of the same name stays, with its observed latencies.
        """
        self._sets.setdefault(each.name, each)
        if lasting:
            self._lasting.add(each.name)

    def resident(self, each: InstanceSet) -> bool:
        """Whether all instances of a set are ready."""
        places = self._crew.places
        return all(place in places and places[place].ready for place in each.places)

    def switch(self, name: str, done: Callable[[Outcome], None]) -> None:
        """Make a known set the active one; KeyError if it is not known.

        ``done`` is called once, possibly before this returns.
        """
        wish, now = Wish(self._sets[name], done, self._clock(), ahead=False), self._now
        if now is not None and now.ahead:
            if now.wanted is wish.wanted:
                self._go_on_with(now, wish)
                return
            self._give_up(now, "replaced", f"{name} was asked for after it")
        if self._now is None:
            self._begin(wish)
            return
        before, self._next = self._next, wish
        self._tell("switch queued", set=name, behind=self._now.wanted.name)
        if before is not None:
            self._end(before, "replaced", f"{name} was asked for after it")

    def prepare(self, name: str, done: Callable[[Outcome], None]) -> None:
        """Start a known set so that it waits warm; KeyError if it is not known.

        Any change replaces it. It is refused if all instances together would take more than
        ``most_bytes``. ``done`` is called once, possibly before this returns.
        """
        wish = Wish(self._sets[name], done, self._clock(), ahead=True)
        if self._now is not None:
            self._end(wish, "replaced", f"{self._now.wanted.name} comes before it")
        else:
            self._begin(wish)

    def close(self) -> None:
        """Stop making changes, and end instances that are being prepared."""
        wishes, self._now, self._next = (self._now, self._next), None, None
        self._engine.on_change = lambda: None
        for wish in wishes:
            if wish is not None:
                self._drop_started(wish)
                self._end(wish, "failed", "the server was stopped")

    def _begin(self, wish: Wish) -> None:
        wanted = wish.wanted
        self.know(wanted)
        if wanted.name == self._engine.active.name:
            self._end(wish, "made", "it serves already")
            return
        if wish.ahead and (reason := self._too_much(wanted)):
            self._end(wish, "refused", reason)
            return
        there = self._crew.places
        new = missing(wanted, there)
        if reason := self._no_room(wish):
            self._end(wish, "refused", reason)
            return
        self._now = wish
        wish.seats = [self._crew.seat(place) for place in wanted.places]
        wish.started = [seat for seat in wish.seats if seat.place in new]
        for seat in wish.seats:
            seat.fault = None
        what = "preparation begun" if wish.ahead else "switch begun"
        self._tell(what, set=wanted.name, starting=len(new))
        self._crew.open(wish.started)
        self._look()

    def _too_much(self, wanted: InstanceSet) -> str:
        """Return why a set would exceed the memory limit; empty if it would not."""
        there = self._crew.places
        size = expected_memory({*there, *wanted.places}, self._crew.memory)
        if size <= self.most_bytes:
            return ""
        return (
            f"all instances with those of {wanted.name} would take {format_size(size)}, but only "
            f"{format_size(int(self.most_bytes))} are allowed"
        )

    def _no_room(self, wish: Wish) -> str:
        """Return why there is no memory for a set's missing instances; empty if there is.

        Ends spare instances if that frees enough, but not for a set that is only to wait warm.
        """
        wanted, active = wish.wanted, self._engine.active
        need = expected_memory(missing(wanted, self._crew.places), self._crew.peak)
        # instances that are just ending have not freed their memory yet
        gone = [each.instance for each in self._crew.seats if each.dismissed and each.instance]
        free = self._free() + sum(resident(each.pid) for each in gone)
        if need > free and not wish.ahead:
            used = {*active.places, *wanted.places}
            spare = [seat for place, seat in self._crew.places.items() if place not in used]
            ready = [seat.place for seat in spare if seat.ready]
            free += expected_memory(ready, self._crew.memory)
            if need <= free:
                for seat in spare:
                    self._crew.drop(seat)
        if need <= free:
            return ""
        return (
            f"the missing instances of {wanted.name} need about {format_size(need)} of memory, "
            f"but only {format_size(max(0, int(free)))} are free"
        )

    def _look(self) -> None:
        """Take over once all instances are ready; give up if one cannot become ready."""
        wish = self._now
        if not self._engine.accepting:
            self._fall_back()
        if wish is None or wish is not self._now:
            return
        for seat in wish.seats:
            if seat.fault is not None or seat.removed:
                self._give_up(wish, "failed", str(seat.fault or "an instance was given up"))
                return
        if all(seat.ready for seat in wish.seats):
            self._now = None
            if wish.ahead:
                self._let_go()
                stays = self.resident(wish.wanted)
                self._end(
                    wish, *(("made", "") if stays else ("refused", "it takes too much memory"))
                )
            else:
                self._take_over(wish)
            self._go_on()

    def _fall_back(self) -> None:
        """Make a warm set active, because the active one cannot serve any more."""
        warm = [each for each in self.sets if self.resident(each)]
        if warm and warm[0].name != self._engine.active.name:
            self._tell("set lost", set=self._engine.active.name)
            wish = Wish(warm[0], lambda outcome: None, self._clock(), ahead=False)
            self._take_over(wish)

    def _take_over(self, wish: Wish) -> None:
        before, wanted = self._engine.active, wish.wanted
        self._engine.take_over(wanted)
        self._sets.move_to_end(before.name, last=False)
        self._sets.move_to_end(wanted.name, last=False)
        self._let_go()
        self._end(wish, "made", "")

    def _go_on_with(self, prepared: Wish, wish: Wish) -> None:
        """Turn the preparation of a set into a change to it."""
        self._end(prepared, "replaced", "it was asked to serve now")
        wish.seats, wish.started, self._now = prepared.seats, prepared.started, wish
        self._tell("switch begun", set=wish.wanted.name, starting=len(wish.started))
        self._look()

    def _give_up(self, wish: Wish, result: Result, reason: str) -> None:
        self._now = None
        self._drop_started(wish)
        self._let_go()
        self._end(wish, result, reason)
        self._go_on()

    def _drop_started(self, wish: Wish) -> None:
        for seat in wish.started:
            if not seat.active:
                self._crew.drop(seat)

    def _go_on(self) -> None:
        if self._next is not None and self._now is None:
            wish, self._next = self._next, None
            self._begin(wish)

    def _let_go(self) -> None:
        """End instances that are not ready or exceed the memory limit, and forget old sets."""
        active = self._engine.active
        places = self._crew.places
        warm = [place for place, seat in places.items() if seat.ready or seat.batch]
        others = [each for each in self.sets if each.name != active.name]
        stay = kept(active, others, warm, self._crew.memory, self.most_bytes)
        if self._now is not None:
            stay = stay | set(self._now.wanted.places)
        for place, seat in places.items():
            if place not in stay:
                self._crew.drop(seat)
        forgotten = [each.name for each in others if not set(each.places) <= stay]
        for name in forgotten[MOST_SETS:]:
            if name not in self._lasting:
                del self._sets[name]

    def _end(self, wish: Wish, result: Result, reason: str) -> None:
        outcome = Outcome(
            set=wish.wanted.name,
            result=result,
            reason=reason,
            seconds=self._clock() - wish.at,
            started=len(wish.started),
        )
        self._tell(
            f"{'preparation' if wish.ahead else 'switch'} {result}",
            set=outcome.set,
            seconds=round(outcome.seconds, 6),
            started=outcome.started,
            **({"reason": reason} if reason else {}),
        )
        if not wish.ahead:
            self._hearer.switched(outcome)
        wish.done(outcome)

    def _tell(self, what: str, **fields: object) -> None:
        event = {"event": what, "at": round(time.time(), 3), **fields}
        self.events.append(event)
        self._hearer.switching(event)
