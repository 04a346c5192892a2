"""Instances that run at the same time, each on its own cores."""

import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Protocol

import msgspec

from coresplit.errors import LateStart
from coresplit.format import format_duration
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import FoundPeak, Ready, Timed
from coresplit.instance.protocol import PREPARE_TIMEOUT_S, Instance
from coresplit.stats.merge import in_turn, side_by_side, signs_in_turn, signs_side_by_side

NOTICE_S = 0.01
LATE_S = 0.002
ATTEMPTS = 4


class Member(Instance, Protocol):
    """An instance that can start a forward at a given moment, together with others."""

    def begin(self, batch: int, start_at: float) -> None:
        """Start one forward at ``start_at`` on the monotonic clock; ``finish`` waits for it."""

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """Return the timing of the forward that was begun."""


class Ensemble:
    """Instances, each with a batch, started together round by round.

    ``members`` are (instance, batch). ``clock`` is the monotonic one that the instances share.
    Every call raises the InstanceError of the first member that fails.
    """

    def __init__(
        self,
        members: Sequence[tuple[Member, int]],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._members = tuple(members)
        self._clock = clock

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> tuple[Ready, ...]:
        """Block until all are ready, up to ``timeout`` seconds for each."""
        return tuple(instance.wait_ready(interrupt, timeout) for instance, _ in self._members)

    def round(
        self, timeout: float, interrupt: Interrupt | None = None, notice: float = NOTICE_S
    ) -> Timed:
        """Run one forward of each, started at the same moment; timed until the last one ends.

        The forwards start ``notice`` seconds from now. If a member starts late, for example because
        it had to make its inputs, the round is repeated with more notice; if that does not help,
        LateStart is raised.
        """
        for attempt in range(ATTEMPTS):
            timed, late_s = self.attempt(timeout, interrupt, notice * 2**attempt)
            if late_s <= LATE_S:
                return timed
            if interrupt is not None and interrupt.requested:
                break
        raise LateStart(
            f"{self._members[0][0].spec} and its neighbours could not be started together: one "
            f"began {format_duration(late_s)} late, at most {format_duration(LATE_S)} is accepted; "
            "stop other programs (doctor names them)"
        )

    def attempt(
        self, timeout: float, interrupt: Interrupt | None = None, notice: float = NOTICE_S
    ) -> tuple[Timed, float]:
        """Run a round without repeating it; return it and how late the latest member began (s)."""
        start_at = self._clock() + notice
        for instance, batch in self._members:
            instance.begin(batch, start_at)
        found = [instance.finish(timeout, interrupt) for instance, _ in self._members]
        ended_at = max(each.ended_at for each in found)
        timed = Timed(
            durations=(ended_at - start_at,),
            evidence=side_by_side([each.evidence for each in found]),
            signs=signs_side_by_side([each.signs for each in found]),
            begun_at=start_at,
            ended_at=ended_at,
            copies=(tuple(each.durations[0] for each in found),),
        )
        return timed, max(each.begun_at for each in found) - start_at

    def close(self) -> None:
        """End all members."""
        for instance, _ in self._members:
            instance.close()


class Pack:
    """Copies of one instance that fill the cores, measured as if they were one.

    A forward of a pack is a round of all copies with the same batch; its duration is that of the
    slowest. Counters are summed over the copies.
    """

    def __init__(
        self, copies: Sequence[Member], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.spec = copies[0].spec
        self._copies = tuple(copies)
        self._clock = clock

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until all copies are ready; return the first one's answer with the total memory."""
        ready = [copy.wait_ready(interrupt, timeout) for copy in self._copies]
        return msgspec.structs.replace(ready[0], memory=sum(each.memory for each in ready))

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """True if every copy is ready or has failed within ``timeout`` seconds."""
        deadline = self._clock() + timeout
        return all(
            copy.answered(max(0.0, deadline - self._clock()), interrupt) for copy in self._copies
        )

    def pause(self) -> None:
        """Pause all copies until they are resumed."""
        for copy in self._copies:
            copy.pause()

    def resume(self) -> None:
        """Resume all copies."""
        for copy in self._copies:
            copy.resume()

    def time_forward_passes(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
        *,
        warmup: int = 0,
    ) -> Timed:
        """Time up to ``count`` rounds after ``warmup`` others, starting none after ``seconds``.

        All times are in seconds; ``seconds`` counts from the end of the warm-up. Rounds that could
        not be started together are left out; LateStart is raised if none remains.
        """
        ensemble = Ensemble([(copy, batch) for copy in self._copies], self._clock)
        deadline = self._clock() + timeout

        def left() -> float:
            return max(0.0, deadline - self._clock())

        # these are not recorded, so they need not start together
        before = [ensemble.attempt(left(), interrupt)[0].durations[0] for _ in range(warmup)]
        begin = self._clock()
        rounds: list[Timed] = []
        for tried in range(max(1, count)):
            if tried and self._clock() - begin >= seconds:
                break
            try:
                rounds.append(ensemble.round(left(), interrupt))
            except LateStart as error:
                late = error
            if interrupt is not None and interrupt.requested:
                break
        if not rounds:
            raise late
        evidence = reduce(in_turn, [each.evidence for each in rounds])
        return Timed(
            durations=tuple(each.durations[0] for each in rounds),
            evidence=msgspec.structs.replace(evidence, visits=1),
            signs=signs_in_turn([each.signs for each in rounds]),
            begun_at=rounds[0].begun_at,
            ended_at=rounds[-1].ended_at,
            copies=tuple(each.copies[0] for each in rounds),
            warmup=tuple(before),
        )

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure the peak speed of the first copy's cores, while the others are idle."""
        return self._copies[0].find_peak(timeout, interrupt)

    def close(self) -> None:
        """End all copies."""
        for copy in self._copies:
            copy.close()
