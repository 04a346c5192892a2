"""Parse the bytes of an inference request; tensors are located, not read."""

from collections.abc import Sequence

import msgspec

from coresplit.serving.protocol import parameters
from coresplit.serving.protocol.given import Input, Output, read_request
from coresplit.serving.protocol.refusals import BadRequest, quoted
from coresplit.serving.protocol.request import InferRequest, Raw, Text, Wanted
from coresplit.serving.protocol.signature import Signature, Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"


def parse_infer(
    body: memoryview, header_length: int | None, signature: Signature, max_rows: int | None = None
) -> InferRequest:
    """Locate the tensors in a body and check everything that is known before they are read.

    ``header_length`` is the value of the header Inference-Header-Content-Length, None without it,
    and ``max_rows`` the most rows allowed, the signature's batch if None. Raises ``BadRequest``.
    """
    most = signature.max_batch if max_rows is None else max_rows
    if header_length == 0:
        return _raw_binary(body, signature, most)
    length = body.nbytes if header_length is None else header_length
    if not 0 < length <= body.nbytes:
        raise BadRequest(
            f"{HEADER_LENGTH} must be from 0 to the {body.nbytes} bytes of the body, not {length}"
            if header_length is not None
            else "the body is empty: it must contain the request"
        )
    header = bytes(body[:length])
    read = read_request(header)
    binary, timeout_us = parameters.of_request(read.parameters)
    rows = _check_inputs(read.inputs, signature, most)
    return InferRequest(
        id=read.id,
        rows=rows,
        inputs=_find(read.inputs, header, body.nbytes, signature, header_length is not None),
        outputs=_wanted(read.outputs, signature, binary),
        timeout_us=timeout_us,
    )


def _raw_binary(body: memoryview, signature: Signature, most: int) -> InferRequest:
    if len(signature.inputs) != 1:
        raise BadRequest(
            f"a raw binary request needs a model with one input, but {quoted(signature.model)} has "
            f"{len(signature.inputs)}; describe the inputs in JSON"
        )
    (tensor,) = signature.inputs
    rows, rest = divmod(body.nbytes, tensor.row_bytes)
    if rest or not rows:
        raise BadRequest(
            f"input '{tensor.name}' takes {tensor.row_bytes} bytes a row, but the raw binary body "
            f"has {body.nbytes}"
        )
    _check_rows(rows, most, signature)
    return InferRequest(
        rows=rows,
        inputs=(Raw(0, body.nbytes),),
        outputs=_wanted((), signature, True),
    )


def _check_inputs(inputs: Sequence[Input], signature: Signature, most: int) -> int:
    """Check all inputs and return their common number of rows."""
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    seen: set[str] = set()
    for each in inputs:
        if each.name not in tensors:
            raise BadRequest(
                f"unexpected input {quoted(each.name)}: model {quoted(signature.model)} takes "
                f"{_list(signature.inputs)}"
            )
        if each.name in seen:
            raise BadRequest(f"input '{each.name}' is given twice")
        seen.add(each.name)
        _check_tensor(each, tensors[each.name])
    missing = [tensor for tensor in signature.inputs if tensor.name not in seen]
    if missing:
        raise BadRequest(
            f"expected {len(tensors)} inputs but got {len(seen)} inputs for model "
            f"{quoted(signature.model)}: {_list(missing)} missing"
        )
    rows = inputs[0].shape[0]
    for each in inputs:
        if each.shape[0] != rows:
            raise BadRequest(
                f"input '{each.name}' has {_number(each.shape[0])} rows and input "
                f"'{inputs[0].name}' has {_number(rows)}: all inputs need the same"
            )
    _check_rows(rows, most, signature)
    return rows


def _check_tensor(given: Input, tensor: Tensor) -> None:
    if given.datatype != tensor.datatype:
        raise BadRequest(
            f"input '{tensor.name}' has datatype {tensor.datatype}, not {quoted(given.datatype)}"
        )
    rows, row = given.shape[:1], given.shape[1:]
    if rows < [1] or row != list(tensor.shape):
        expected = ",".join(map(str, ["rows", *tensor.shape]))
        raise BadRequest(
            f"input '{tensor.name}' has shape [{expected}] with at least one row, not "
            f"{_shape(given.shape)}"
        )


def _check_rows(rows: int, most: int, signature: Signature) -> None:
    if rows > most:
        raise BadRequest(
            f"inference request batch-size must be <= {most} for {quoted(signature.model)}, not "
            f"{_number(rows)}"
        )


def _find(
    inputs: Sequence[Input], header: bytes, end: int, signature: Signature, has_length: bool
) -> tuple[Raw | Text, ...]:
    """Locate each input in the body; ``has_length`` is whether the JSON's length was given."""
    tensors = {tensor.name: tensor for tensor in signature.inputs}
    found: dict[str, Raw | Text] = {}
    offset = len(header)
    for each in inputs:
        owner = f"input '{each.name}'"
        size = parameters.binary_size(each.parameters, owner)
        if size is None:
            found[each.name] = _text(each, header)
            continue
        if each.data is not msgspec.UNSET:
            raise BadRequest(f"{owner} has both 'data' and 'binary_data_size': give only one")
        expected = tensors[each.name].row_bytes * each.shape[0]
        if size != expected:
            raise BadRequest(
                f"{owner} of shape {_shape(each.shape)} and datatype {each.datatype} takes "
                f"{expected} bytes, but its 'binary_data_size' is {size}"
            )
        if not has_length:
            raise BadRequest(f"{owner} has 'binary_data_size', but {HEADER_LENGTH} is not given")
        if offset + size > end:
            raise BadRequest(
                f"{owner} has 'binary_data_size' {size}, but only {end - offset} bytes are left in "
                "the body"
            )
        found[each.name] = Raw(offset, size)
        offset += size
    if offset != end:
        raise BadRequest(f"unexpected additional data: {end - offset} bytes after the last input")
    return tuple(found[tensor.name] for tensor in signature.inputs)


def _text(given: Input, header: bytes) -> Text:
    if given.data is msgspec.UNSET:
        raise BadRequest(f"input '{given.name}' has neither 'data' nor 'binary_data_size'")
    view = memoryview(given.data)
    if view[0] != ord("["):
        raise BadRequest(f"'data' of input '{given.name}' must be a list")
    return Text(_address(view) - _address(header), view.nbytes)


def _address(buffer: bytes | memoryview) -> int:
    import numpy as np  # noqa: PLC0415

    return int(np.frombuffer(buffer, np.uint8).ctypes.data)


def _wanted(outputs: Sequence[Output], signature: Signature, binary: bool) -> tuple[Wanted, ...]:
    """Return the requested outputs, or all if none is named."""
    places = {tensor.name: index for index, tensor in enumerate(signature.outputs)}
    if not outputs:
        return tuple(Wanted(name, index, binary) for name, index in places.items())
    wanted: dict[str, Wanted] = {}
    for each in outputs:
        if each.name not in places:
            raise BadRequest(
                f"unexpected output {quoted(each.name)}: model {quoted(signature.model)} gives "
                f"{_list(signature.outputs)}"
            )
        if each.name in wanted:
            raise BadRequest(f"output '{each.name}' is requested twice")
        as_binary = parameters.binary_output(each.parameters, f"output '{each.name}'", binary)
        wanted[each.name] = Wanted(each.name, places[each.name], as_binary)
    return tuple(wanted.values())


def _list(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"'{tensor.name}'" for tensor in tensors)


def _shape(sizes: Sequence[int]) -> str:
    shown = ",".join(map(_number, sizes[:10]))
    return f"[{shown}]" if len(sizes) <= 10 else f"[{shown},…]"


def _number(value: int) -> str:
    return str(value) if abs(value) < 2**63 else "a number beyond 64 bits"
