"""Instances that run at the same time, each on cores of its own."""

import time
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Protocol

import msgspec

from coresplit.instance.handle import PREPARE_TIMEOUT_S, Instance
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import FoundPeak, Ready, Timed
from coresplit.instance.tally import in_turn, side_by_side

NOTICE_S = 0.01
LATE_S = 0.002
ATTEMPTS = 4


class Member(Instance, Protocol):
    """An instance whose forwards can be begun at a moment, beside those of others."""

    def begin(self, batch: int, start_at: float) -> None:
        """Have one forward start at a moment of the monotonic clock; ``finish`` waits for it."""

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """What the forward that was begun took."""


class Ensemble:
    """Instances with a batch each, started together round by round.

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
        """Block until all are ready, at most ``timeout`` seconds for each."""
        return tuple(instance.wait_ready(interrupt, timeout) for instance, _ in self._members)

    def round(
        self, timeout: float, interrupt: Interrupt | None = None, notice: float = NOTICE_S
    ) -> Timed:
        """One forward of each, begun at the same moment; lasts until the last one has ended.

        It begins ``notice`` seconds from now. A round that a member began late, as after making
        its inputs, is repeated with more notice.
        """
        for attempt in range(1, ATTEMPTS + 1):
            start_at = self._clock() + notice
            for instance, batch in self._members:
                instance.begin(batch, start_at)
            found = [instance.finish(timeout, interrupt) for instance, _ in self._members]
            if max(each.begun_at for each in found) - start_at <= LATE_S or attempt == ATTEMPTS:
                break
            notice *= 2
        ended_at = max(each.ended_at for each in found)
        return Timed(
            durations=(ended_at - start_at,),
            evidence=side_by_side([each.evidence for each in found]),
            begun_at=start_at,
            ended_at=ended_at,
            copies=(tuple(each.durations[0] for each in found),),
        )

    def close(self) -> None:
        """End all members."""
        for instance, _ in self._members:
            instance.close()


class Pack:
    """Copies of one instance that fill the cores, measured as if they were one.

    A forward of a pack is a round of all copies with the same batch, and its duration that of
    the slowest. What is counted is the sum over the copies.
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
        """Block until all copies are ready; what the first reads back, with the memory of all."""
        ready = [copy.wait_ready(interrupt, timeout) for copy in self._copies]
        return msgspec.structs.replace(ready[0], memory=sum(each.memory for each in ready))

    def forwards(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
    ) -> Timed:
        """Up to ``count`` rounds, starting none after ``seconds``; all times in seconds."""
        ensemble = Ensemble([(copy, batch) for copy in self._copies], self._clock)
        begin = self._clock()
        rounds: list[Timed] = []
        while not rounds or (len(rounds) < count and self._clock() - begin < seconds):
            left = timeout - (self._clock() - begin)
            rounds.append(ensemble.round(max(0.0, left), interrupt))
            if interrupt is not None and interrupt.requested:
                break
        evidence = reduce(in_turn, [each.evidence for each in rounds])
        return Timed(
            durations=tuple(each.durations[0] for each in rounds),
            evidence=msgspec.structs.replace(evidence, visits=1),
            begun_at=rounds[0].begun_at,
            ended_at=rounds[-1].ended_at,
            copies=tuple(each.copies[0] for each in rounds),
        )

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """What the cores of the first copy can do at most, while the others are idle."""
        return self._copies[0].find_peak(timeout, interrupt)

    def close(self) -> None:
        """End all copies."""
        for copy in self._copies:
            copy.close()
