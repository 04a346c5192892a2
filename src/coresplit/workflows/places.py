"""The machine that a model is measured on, and the host of its instances: real or fake."""

from coresplit.instance import FakeMachine, Host, LocalHost, fake_machine
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec, is_fake, parse_fake
from coresplit.records import Inputs, Machine


def machine_for(model: str) -> Machine:
    """Return this machine, or the one that a fake model describes."""
    return fake_machine(parse_fake(model)) if is_fake(model) else inspect()


def host_for(spec: ModelSpec, machine: Machine, inputs: Inputs) -> Host:
    """Return the host that runs the instances of the model on that machine."""
    if is_fake(spec.name):
        return FakeMachine(spec, parse_fake(spec.name))
    return LocalHost(spec, machine, inputs)
