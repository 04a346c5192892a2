"""The requests of the comparison, by model and server: the same numbers for all of them."""

from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from typing import Any

import msgspec
import numpy as np
from load import Wrong
from numpy.typing import NDArray
from targets import Form, Target

from coresplit.loading.protocols.bodies import ModelMetadata, Tensor, count_of, drawn, element_bytes

PATIENCE_S = 60.0
MOST_ERROR = 1e-3


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Headers and body of a request of one row."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def described(tensors: Sequence[Tensor]) -> str:
    """Return inputs or outputs in the form of the peers' command line."""
    return ",".join(
        f"{each.name}:{each.datatype}:{'x'.join(map(str, each.shape[1:]))}" for each in tensors
    )


def requests_of(metadata: ModelMetadata) -> dict[Form, Sent]:
    """Return one row of seeded numbers, in the Open Inference Protocol and raw."""
    random = np.random.default_rng(0)
    described, data = [], []
    for tensor in metadata.inputs:
        shape = (1, *tensor.shape[1:])
        numbers = drawn(tensor, shape, random).tobytes()
        size = {"binary_data_size": len(numbers)}
        one = {"name": tensor.name, "shape": shape, "datatype": tensor.datatype}
        described.append({**one, "parameters": size})
        data.append(numbers)
    raw = b"".join(data)
    lead = msgspec.json.encode({"inputs": described, "parameters": {"binary_data_output": True}})
    kind = ("Content-Type", "application/octet-stream")
    length = ("Inference-Header-Content-Length", str(len(lead)))
    return {
        "infer": Sent(headers=(kind, length), body=lead + raw),
        "raw": Sent(headers=(kind,), body=raw),
    }


def ask(target: Target, path: str, sent: Sent | None = None) -> bytes:
    """Send one request and return the answer; raise Wrong if it fails or is not status 200."""
    connection = HTTPConnection("127.0.0.1", target.port, timeout=PATIENCE_S)
    try:
        if sent is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, sent.body, dict(sent.headers))
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException) as error:
        raise Wrong(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Wrong(f"status {answer.status}: {body[:300].decode(errors='replace')}")
    return body


def outputs_of(answer: bytes, outputs: Sequence[Tensor]) -> list[NDArray[Any]]:
    """Return the outputs, which are the last bytes of an answer; raise Wrong if it is too short."""
    sizes = [count_of(each.shape[1:]) * (element_bytes(each.datatype) or 0) for each in outputs]
    if len(answer) < sum(sizes):
        raise Wrong(f"an answer of {len(answer)} bytes for {sum(sizes)} of outputs")
    found, first = [], len(answer) - sum(sizes)
    for size in sizes:
        found.append(np.frombuffer(answer[first : first + size], np.float32))
        first += size
    return found


def apart(mine: Sequence[NDArray[Any]], theirs: Sequence[NDArray[Any]]) -> float:
    """Return the largest difference of two servers' outputs, relative to the largest number."""
    return max(
        float(np.abs(one - other).max() / np.abs(one).max())
        for one, other in zip(mine, theirs, strict=True)
    )
