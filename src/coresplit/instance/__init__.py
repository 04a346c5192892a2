"""Instances: pinned processes that hold one prepared model, and a fake one for exact tests.

    parent                                   child process
    handle.Process  --- messages, a pipe --> child.main: pin, import torch, prepare, read back
                    <-- Ready / Timed / Failure --- timing.time_forwards

``ensemble`` starts several at the same moment: the copies of a packed cell, or a split.

What is measured through an instance is what a server would run: timing is one command among
others, and lives in ``timing`` alone.
"""

from coresplit.instance.ensemble import Ensemble, Member, Pack
from coresplit.instance.fake import FakeClock, FakeInstance
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import FoundPeak, InstanceSpec, Ready, Timed
from coresplit.instance.process import Process
from coresplit.instance.protocol import PREPARE_TIMEOUT_S, Instance

__all__ = [
    "PREPARE_TIMEOUT_S",
    "Ensemble",
    "FakeClock",
    "FakeInstance",
    "FoundPeak",
    "Instance",
    "InstanceSpec",
    "Interrupt",
    "Member",
    "Pack",
    "Process",
    "Ready",
    "Timed",
]
