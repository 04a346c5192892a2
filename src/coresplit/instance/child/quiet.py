"""Prepare in the background, without taking cores from other processes."""

import os

import msgspec

from coresplit.instance.child.timing import rest
from coresplit.instance.messages import Ready
from coresplit.machine.scheduling import come_back, may_return, policies


class Quiet:
    """Background scheduling of this process until it is ready or its parent ends that.

    Create it before libraries start threads.
    """

    def __init__(self) -> None:
        # the normal policy is that of the parent
        self._policy = os.sched_getscheduler(os.getppid())
        self._quiet = may_return()

    def ended(self, ready: Ready) -> Ready:
        """Return to normal scheduling, once threads have stopped spinning, and add it to ready."""
        if self._quiet:
            rest()
            come_back(self._policy)
        return msgspec.structs.replace(ready, quietly=self._quiet, scheduling=policies())
