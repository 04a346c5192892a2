"""Parameters of a request, an input or an output.

Unsupported parameters that would change the answer are refused by name. Other unknown parameters
are ignored, as by Triton if the model reads none: clients send parameters of their own.
"""

from typing import Annotated, TypeVar

import msgspec

from coresplit.serving.protocol.refusals import BadRequest, quoted

Parameters = dict[str, msgspec.Raw]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

_Value = TypeVar("_Value")
_SHARED_MEMORY = ("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size")
_SEQUENCES = ("sequence_id", "sequence_start", "sequence_end")
_RESERVED = "triton_"
_NOT_SCALAR = b"[{n"


def binary_size(parameters: Parameters, owner: str) -> int | None:
    """Return ``binary_data_size`` of an input; None if it is not given."""
    _refuse(parameters, _SHARED_MEMORY, owner)
    return _count(parameters, "binary_data_size", owner)


def binary_output(parameters: Parameters, owner: str, default: bool) -> bool:
    """Whether an output is requested as binary data."""
    _refuse(parameters, (*_SHARED_MEMORY, "classification"), owner)
    return _flag(parameters, "binary_data", owner, default)


def of_request(parameters: Parameters) -> tuple[bool, int | None]:
    """Return whether outputs are binary by default, and the timeout in microseconds or None."""
    owner = "the request"
    _refuse(parameters, _SEQUENCES, owner)
    for name, value in parameters.items():
        if name.startswith(_RESERVED):
            raise BadRequest(f"parameter {quoted(name)} is reserved for Triton and not supported")
        if bytes(value)[:1] in _NOT_SCALAR:
            raise BadRequest(f"parameter {quoted(name)} must be a number, a string or a boolean")
    # priority orders a queue with several levels; here there is one
    _count(parameters, "priority", owner)
    # as in Triton, 0 means no limit
    timeout = _count(parameters, "timeout", owner) or None
    return _flag(parameters, "binary_data_output", owner, False), timeout


def _refuse(parameters: Parameters, names: tuple[str, ...], owner: str) -> None:
    for name in names:
        if name in parameters:
            raise BadRequest(f"parameter '{name}' of {owner} is not supported")


def _count(parameters: Parameters, name: str, owner: str) -> int | None:
    if name not in parameters:
        return None
    wrong = f"parameter '{name}' of {owner} must be an integer of at least 0"
    return _read(parameters[name], Count, wrong)


def _flag(parameters: Parameters, name: str, owner: str, default: bool) -> bool:
    if name not in parameters:
        return default
    return _read(parameters[name], bool, f"parameter '{name}' of {owner} must be true or false")


def _read(value: msgspec.Raw, kind: type[_Value], wrong: str) -> _Value:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequest(wrong) from error
