"""Makes a server follow its load: candidates wait warm, the controller chooses the active one.

Replaying the load takes CPU time of the event loop, so replay is limited to a share of that time.
After an expensive look it pauses, and arrivals during the pause are not replayed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

from coresplit.serving.adapting.controller import Controller, Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.simulation import LOOK_S
from coresplit.serving.engine import Engine
from coresplit.serving.seats import Seat
from coresplit.serving.switching.switcher import Switcher
from coresplit.serving.switching.wishes import Outcome

MOST_ARRIVALS = 32
"""Most arrivals that are replayed at once, because replay blocks the event loop."""
SHARE = 0.03
"""Most of the CPU time of the event loop's thread that replay may take."""
PREPARE_AGAIN_S = 60.0
BARRED_S = 60.0
"""A candidate that could not serve is not tried again for this long."""


class Adapter:
    """Compares ``candidates``, keyed by the names of their sets, under the load of an engine.

    ``prepare_s`` is how long it takes to prepare a set that does not wait warm. The adapter is off
    until ``start``, and while a set chosen by a client serves. Everything runs on the event loop.
    """

    def __init__(
        self,
        engine: Engine,
        switcher: Switcher,
        candidates: Mapping[str, Candidate],
        rules: Rules,
        *,
        prepare_s: float,
        timer: Callable[[], float] = time.thread_time,
    ) -> None:
        self._engine = engine
        self._switcher = switcher
        self._candidates = candidates
        self._rules = rules
        self._prepare_s = prepare_s
        self._timer = timer
        self._loop = asyncio.get_running_loop()
        self._controller: Controller | None = None
        self._arrivals: list[tuple[float, int]] = []
        self._next: asyncio.TimerHandle | None = None
        self._rests_until = 0.0
        self._prepare_at = dict.fromkeys(candidates, 0.0)
        self._switching = False
        self._again_at = 0.0

    @property
    def running(self) -> bool:
        """Whether the adapter follows the load."""
        return self._controller is not None

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names of the sets to choose from."""
        return tuple(self._candidates)

    def start(self) -> None:
        """Start following the load from the active set, or from the first if it is no candidate."""
        if self.running:
            return
        active = self._switcher.active
        present = active if active in self._candidates else next(iter(self._candidates))
        self._controller = Controller(self._candidates, present, self._rules)
        self._controller.resume(self._loop.time(), self._engine.in_system)
        self._arrivals = []
        self._switching = False
        self._engine.hears = self._heard
        self._engine.times = self._timed
        if present != active:
            self._switch(present)
        self._wait(LOOK_S)

    def stop(self) -> None:
        """Stop following the load."""
        self._controller = None
        self._engine.hears = lambda at, rows: None
        self._engine.times = lambda seat, rows, seconds: None
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _heard(self, at: float, rows: int) -> None:
        if self._loop.time() < self._rests_until:
            return
        self._arrivals.append((at, rows))
        if len(self._arrivals) == MOST_ARRIVALS:
            self._wait(0.0)

    def _timed(self, seat: Seat, rows: int, seconds: float) -> None:
        if self._controller is None or not seat.active:
            return
        half = self._loop.time() - seconds / 2
        others = (each for each in self._engine.crew.seats if each.active and each is not seat)
        alone = not any(each.batch and each.begun_at < half for each in others)
        self._controller.computed(seat.threads, rows, seconds, alone=alone)

    def _wait(self, seconds: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        controller, now = self._controller, self._loop.time()
        if controller is None:
            return
        self._wait(LOOK_S)
        astray = self._switcher.active != controller.present
        if astray and not self._switching and now >= self._again_at:
            # the active set is not the chosen one: another was asked for, or the chosen was lost
            self.stop()
            self.start()
            return
        rested, self._rests_until = self._rests_until, 0.0
        if rested:
            # those that arrived since the rest ended are in the system or done
            self._arrivals = []
            controller.resume(now, self._engine.in_system)
            return
        arrivals, self._arrivals = self._arrivals, []
        began = self._timer()
        for at, rows in arrivals:
            controller.arrived(at, rows)
        wanted = None
        if not self._switching:
            controller.switch_s.update(self._costs())
            wanted = controller.look(now, self._engine.in_system)
        rest_s = (self._timer() - began) / SHARE
        if rest_s > LOOK_S:
            self._rests_until = now + rest_s
            self._wait(rest_s)
        if wanted is not None:
            self._switch(wanted)
        elif self._switcher.preparing is None:
            self._prepare(now)

    def _costs(self) -> dict[str, float]:
        warm = {each.name for each in self._switcher.sets if self._switcher.resident(each)}
        return {name: 0.0 if name in warm else self._prepare_s for name in self._candidates}

    def _switch(self, name: str) -> None:
        self._switching = True
        self._switcher.switch(name, self._switched)

    def _switched(self, outcome: Outcome) -> None:
        self._switching = False
        if self._controller is None:
            return
        now = self._loop.time()
        if outcome.result == "made":
            self._controller.switched(now, outcome.set)
        else:
            self._controller.failed(outcome.set, now + BARRED_S)
            self._again_at = now + BARRED_S

    def _prepare(self, now: float) -> None:
        """Start the next candidate that does not wait warm yet."""
        for each in self._switcher.sets:
            at = self._prepare_at.get(each.name)
            if at is not None and at <= now and not self._switcher.resident(each):
                self._prepare_at[each.name] = now + PREPARE_AGAIN_S
                self._switcher.prepare(each.name, lambda outcome: None)
                return
