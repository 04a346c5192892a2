"""Bytes of an answer with outputs, and of one without."""

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
"""The rows of one output in order, whole rows in each, as computed by one batch or several."""


def write_infer(
    signature: Signature,
    request: InferRequest,
    outputs: Sequence[Pieces],
    version: str | None = None,
) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """Headers and body of the answer; ``outputs`` are those that the request wants, in its order.

    The parts of the body are to be sent one after the other; binary data is not copied. Raises
    ``BadRequest`` where JSON is asked for and cannot hold a value, ``WrongOutput`` for a wrong
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
    """Headers and body of an answer such as metadata."""
    return {"Content-Type": JSON}, [msgspec.json.encode(answer)]


def write_error(message: str) -> tuple[dict[str, str], list[bytes | memoryview]]:
    """Headers and body of an answer that says what is wrong."""
    # a path may hold what UTF-8 cannot
    return write_json({"error": message.encode(errors="replace").decode()})


def _checked(tensor: Tensor, rows: int, pieces: Pieces) -> int:
    size = sum(piece.nbytes for piece in pieces)
    if size != rows * tensor.row_bytes:
        raise WrongOutput(
            f"output '{tensor.name}' of shape {tensor.shaped(rows)} and datatype {tensor.datatype} "
            f"takes {rows * tensor.row_bytes} bytes, and the model gave {size}"
        )
    return size


def _data(wanted: Wanted, tensor: Tensor, pieces: Pieces) -> msgspec.Raw:
    texts = [as_json(piece, tensor.datatype) for piece in pieces]
    written = [text for text in texts if text is not None]
    if len(written) < len(texts):
        raise BadRequest(
            f"output '{wanted.name}' holds NaN or infinity, which JSON cannot: ask for it as "
            "binary data, by parameter 'binary_data'"
        )
    return msgspec.Raw(b"[%s]" % b",".join(written))
