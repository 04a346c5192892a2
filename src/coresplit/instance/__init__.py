"""Instances: pinned processes that each hold one prepared model, and a fake one for exact tests.

    parent                                   child process
    process.Process  --- messages, a pipe --> child.main: pin, import torch, prepare, read back
                    <-- Ready / Timed / Failure --- child.timing

What an instance of a server has prepared is stored by ``child.handover`` and loaded by others in
``child.light``. If the library does not need PyTorch, the first instance loads it as well, to free
the memory of PyTorch: it starts ``child.main`` again in the same process.

An instance of a server receives ``Infer`` instead, and reads and writes tensors in an ``Arena`` of
``transport`` that it shares with the front; ``fake_server`` replaces it in tests.

``ensemble`` starts several forwards at the same moment: of the copies of a packed cell, or of a
split. ``host`` starts and places instances.

Measuring and serving use the same instances: timing is one command among others, and only
``child.timing`` knows about it.
"""

from coresplit.instance.disturbing import disturbed_entry
from coresplit.instance.ensemble import Ensemble, Member, Pack
from coresplit.instance.failures import error_of
from coresplit.instance.fake import FakeClock, FakeHost, FakeInstance
from coresplit.instance.fake_machine import FakeMachine, fake_machine
from coresplit.instance.fake_server import FakeServing, fake_output
from coresplit.instance.host import Host, LocalHost
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import (
    Failure,
    FoundPeak,
    HandedOver,
    Infer,
    Inferred,
    InstanceSpec,
    Ready,
    Rows,
    Serve,
    Text,
    Timed,
)
from coresplit.instance.process import Process
from coresplit.instance.protocol import PREPARE_TIMEOUT_S, Instance, ServingInstance
from coresplit.instance.transport import ALIGNMENT, Arena, Blocks

__all__ = [
    "ALIGNMENT",
    "PREPARE_TIMEOUT_S",
    "Arena",
    "Blocks",
    "Ensemble",
    "Failure",
    "FakeClock",
    "FakeHost",
    "FakeInstance",
    "FakeMachine",
    "FakeServing",
    "FoundPeak",
    "HandedOver",
    "Host",
    "Infer",
    "Inferred",
    "Instance",
    "InstanceSpec",
    "Interrupt",
    "LocalHost",
    "Member",
    "Pack",
    "Process",
    "Ready",
    "Rows",
    "Serve",
    "ServingInstance",
    "Text",
    "Timed",
    "disturbed_entry",
    "error_of",
    "fake_machine",
    "fake_output",
]
