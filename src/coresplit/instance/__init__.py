"""Instances: pinned processes that hold one prepared model, and a fake one for exact tests.

    parent                                   child process
    process.Process  --- messages, a pipe --> child.main: pin, import torch, prepare, read back
                    <-- Ready / Timed / Failure --- child.timing

``ensemble`` starts several at the same moment: the copies of a packed cell, or a split. ``host``
is where they run.

What is measured through an instance is what a server would run: timing is one command among
others, and lives in ``child.timing`` alone.
"""

from coresplit.instance.disturbing import disturbed_entry
from coresplit.instance.ensemble import Ensemble, Member, Pack
from coresplit.instance.fake import FakeClock, FakeHost, FakeInstance
from coresplit.instance.fake_machine import FakeMachine, fake_machine
from coresplit.instance.host import Host, LocalHost
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import FoundPeak, InstanceSpec, Ready, Timed
from coresplit.instance.process import Process
from coresplit.instance.protocol import PREPARE_TIMEOUT_S, Instance
from coresplit.instance.transport import Arena, Blocks

__all__ = [
    "PREPARE_TIMEOUT_S",
    "Arena",
    "Blocks",
    "Ensemble",
    "FakeClock",
    "FakeHost",
    "FakeInstance",
    "FakeMachine",
    "FoundPeak",
    "Host",
    "Instance",
    "InstanceSpec",
    "Interrupt",
    "LocalHost",
    "Member",
    "Pack",
    "Process",
    "Ready",
    "Timed",
    "disturbed_entry",
    "fake_machine",
]
