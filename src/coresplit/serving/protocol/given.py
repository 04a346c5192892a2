"""The JSON of an inference request as sent; its size is checked before it is decoded."""

from typing import TypeVar

import msgspec

from coresplit.serving.protocol.nesting import excess, not_utf8
from coresplit.serving.protocol.parameters import Parameters
from coresplit.serving.protocol.refusals import BadRequest
from coresplit.serving.protocol.request import DEEPEST

MOST_OBJECTS = 10_000
_LONGEST = 64 << 10
"""Most bytes of a shape or of parameters: decoded they take many times as much memory."""
_EMPTY = msgspec.Raw(b"{}")
_Value = TypeVar("_Value")


class _GivenInput(msgspec.Struct):
    name: str
    datatype: str
    shape: msgspec.Raw
    parameters: msgspec.Raw = _EMPTY
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _GivenOutput(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = _EMPTY


class _Given(msgspec.Struct):
    """The request as sent; parts of unbounded size stay raw until their size is checked."""

    inputs: list[_GivenInput]
    outputs: list[_GivenOutput] = []
    id: str = ""
    parameters: msgspec.Raw = _EMPTY


class Input(msgspec.Struct):
    """An input as sent; ``data`` is a view of the bytes that were read."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters
    data: msgspec.Raw | msgspec.UnsetType


class Output(msgspec.Struct):
    """A requested output."""

    name: str
    parameters: Parameters


class Request(msgspec.Struct):
    """The JSON of an inference request."""

    inputs: list[Input]
    outputs: list[Output]
    id: str
    parameters: Parameters


def read_request(header: bytes) -> Request:
    """Read JSON in time and memory proportional to its size; raises BadRequest."""
    wrong_byte = not_utf8(header)
    if wrong_byte is not None:
        raise BadRequest(f"the request's JSON is not UTF-8 from byte {wrong_byte}")
    wrong = excess(header, DEEPEST, MOST_OBJECTS)
    if wrong:
        raise BadRequest(f"the request's JSON {wrong}")
    given = _read(header, _Given)
    if len(given.id) > _LONGEST:
        raise BadRequest(
            f"'id' has {len(given.id)} characters, but at most {_LONGEST} are sent back"
        )
    return Request(
        inputs=[
            Input(
                name=each.name,
                datatype=each.datatype,
                shape=_short(each.shape, list[int], f"inputs[{n}].shape"),
                parameters=_parameters(each.parameters, f"inputs[{n}].parameters"),
                data=each.data,
            )
            for n, each in enumerate(given.inputs)
        ],
        outputs=[
            Output(each.name, _parameters(each.parameters, f"outputs[{n}].parameters"))
            for n, each in enumerate(given.outputs)
        ],
        id=given.id,
        parameters=_parameters(given.parameters, "parameters"),
    )


def _parameters(text: msgspec.Raw, where: str) -> Parameters:
    return {} if text is _EMPTY else _short(text, Parameters, where)


def _short(text: msgspec.Raw, kind: type[_Value], where: str) -> _Value:
    size = memoryview(text).nbytes
    if size > _LONGEST:
        raise BadRequest(f"'{where}' has {size} bytes of JSON, but at most {_LONGEST} are read")
    return _read(text, kind, where)


def _read(text: bytes | msgspec.Raw, kind: type[_Value], where: str = "") -> _Value:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        what, _, within = str(error).partition(" - at ")
        place = (where + within.strip("`").removeprefix("$")).removeprefix(".") or "request"
        raise BadRequest(f"'{place}': {what[:1].lower()}{what[1:]}") from error
    except msgspec.DecodeError as error:
        what = str(error).removeprefix("JSON is malformed: ")
        raise BadRequest(f"the request is not valid JSON: {what}") from error
    except RecursionError as error:
        raise BadRequest("the request's JSON is nested too deeply") from error
