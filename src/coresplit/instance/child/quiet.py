"""Being prepared beside others without taking their cores from them."""

import os

import msgspec

from coresplit.instance.child.timing import rest
from coresplit.instance.messages import Ready
from coresplit.machine.scheduling import come_back, may_return, policies


class Quiet:
    """This process was started to step back, and does so until it is ready or its parent ends it.

    Make it before libraries start threads.
    """

    def __init__(self) -> None:
        # what a process steps back from is what its parent has
        self._policy = os.sched_getscheduler(os.getppid())
        self._quiet = may_return()

    def ended(self, ready: Ready) -> Ready:
        """Come back, and say so; a thread that spins would take a core as soon as it has."""
        if self._quiet:
            rest()
            come_back(self._policy)
        return msgspec.structs.replace(ready, quietly=self._quiet, scheduling=policies())
