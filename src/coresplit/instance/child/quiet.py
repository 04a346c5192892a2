"""Being prepared beside others without taking their cores from them."""

import os
import threading

import msgspec

from coresplit.instance.child.timing import rest
from coresplit.instance.messages import Ready
from coresplit.machine.scheduling import come_back, policies, step_back


class Quiet:
    """This process and all its threads step back, for ``longest_s`` seconds at most.

    Begin it before libraries start threads. Where cores are never idle a process that has stepped
    back hardly gets on, so that after a while it goes on like any other.
    """

    def __init__(self, longest_s: float) -> None:
        # what a process steps back from is what its parent has
        self._policy = os.sched_getscheduler(os.getppid())
        self._quiet = step_back(0)
        self._timer = threading.Timer(longest_s, come_back, [self._policy])
        self._timer.daemon = True
        if self._quiet:
            self._timer.start()

    def ended(self, ready: Ready) -> Ready:
        """Come back, and say so; a thread that spins would take a core as soon as it has."""
        if self._quiet:
            self._timer.cancel()
            self._timer.join()
            rest()
            come_back(self._policy)
        return msgspec.structs.replace(ready, quietly=self._quiet, scheduling=policies())
