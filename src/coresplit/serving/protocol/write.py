"""Write answers: inference outputs, other JSON, errors."""

from collections.abc import Sequence

import msgspec

from coresplit.serving.protocol.numbers import as_json
from coresplit.serving.protocol.parse import HEADER_LENGTH
from coresplit.serving.protocol.refusals import BadRequest, WrongOutput
from coresplit.serving.protocol.request import InferRequest, Wanted
from coresplit.serving.protocol.signature import Signature, Tensor

JSON = "application/json"
BINARY = "application/octet-stream"

Pieces = Sequence[memoryview]
"""The rows of one output in order, as one or several pieces of whole rows."""


def write_infer(
    signature: Signature,
    request: InferRequest,
    outputs: Sequence[Pieces],
    version: str | None = None,
) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """Return headers and body of the answer; ``outputs`` are the requested ones, in their order.

    The body is a list of parts to send one after the other; binary data is not copied. Raises
    ``BadRequest`` if JSON is requested and cannot represent a value, ``WrongOutput`` for a wrong
    size.
    """
    described = []
    parts: list[bytes | memoryview] = []
    for wanted, pieces in zip(request.outputs, outputs, strict=True):
        tensor = signature.outputs[wanted.index]
        size = _checked(tensor, request.rows, pieces)
        shown: dict[str, object] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shaped(request.rows),
        }
        if wanted.binary:
            shown["parameters"] = {"binary_data_size": size}
            parts += [piece.cast("B") for piece in pieces]
        else:
            shown["data"] = _data(wanted, tensor, pieces)
        described.append(shown)
    header = msgspec.json.encode(
        ({"id": request.id} if request.id else {})
        | {
            "model_name": signature.model,
            "model_version": signature.version if version is None else version,
            "outputs": described,
        }
    )
    if not parts:
        return {"Content-Type": JSON}, [header]
    return {"Content-Type": BINARY, HEADER_LENGTH: str(len(header))}, [header, *parts]


def write_json(answer: object) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """Return headers and body of a JSON answer, such as metadata."""
    return {"Content-Type": JSON}, [msgspec.json.encode(answer)]


def write_error(message: str) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """Return headers and body of an error answer."""
    # the message may quote a path that UTF-8 cannot encode
    return write_json({"error": message.encode(errors="replace").decode()})


def _checked(tensor: Tensor, rows: int, pieces: Pieces) -> int:
    size = sum(piece.nbytes for piece in pieces)
    if size != rows * tensor.row_bytes:
        raise WrongOutput(
            f"output '{tensor.name}' of shape {tensor.shaped(rows)} and datatype {tensor.datatype} "
            f"takes {rows * tensor.row_bytes} bytes, but the model gave {size}"
        )
    return size


def _data(wanted: Wanted, tensor: Tensor, pieces: Pieces) -> msgspec.Raw:
    texts = [as_json(piece, tensor.datatype) for piece in pieces]
    written = [text for text in texts if text is not None]
    if len(written) < len(texts):
        raise BadRequest(
            f"output '{wanted.name}' holds NaN or infinity, which JSON cannot represent: request "
            "it as binary data, with parameter 'binary_data'"
        )
    return msgspec.Raw(b"[%s]" % b",".join(written))
