"""Answers of the endpoints without tensors, as JSON-ready objects."""

import msgspec

from coresplit.serving.protocol.refusals import BadRequest
from coresplit.serving.protocol.signature import Signature, Tensor

Answer = dict[str, object]

PLATFORM = "coresplit"
EXTENSIONS = ("binary_tensor_data", "schedule_policy", "model_configuration", "statistics")
"""Triton's extensions that are fully supported."""
_EITHER: Answer = {"is_shape_tensor": False, "is_non_linear_format_io": False}
_INPUT: Answer = {
    "format": "FORMAT_NONE",
    "allow_ragged_batch": False,
    "optional": False,
    **_EITHER,
}
_OUTPUT: Answer = {"label_filename": "", **_EITHER}


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A group of equal instances of a model."""

    name: str
    count: int


class Batching(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How requests are joined into batches.

    ``preferred`` are the batch sizes that are computed as soon as they are full. A request waits
    ``delay_us`` for others. It is refused after ``timeout_us``, 0 for never, or if ``queue`` others
    are waiting, 0 for no limit.
    """

    preferred: tuple[int, ...] = ()
    delay_us: int = 0
    timeout_us: int = 0
    queue: int = 0


def server_metadata(version: str) -> Answer:
    """Answer ``/v2``."""
    return {"name": "coresplit", "version": version, "extensions": list(EXTENSIONS)}


def live(is_live: bool = True) -> Answer:
    """Answer ``/v2/health/live``."""
    return {"live": is_live}


def ready(is_ready: bool = True) -> Answer:
    """Answer ``/v2/health/ready``."""
    return {"ready": is_ready}


def model_ready(signature: Signature, is_ready: bool = True) -> Answer:
    """Answer ``/v2/models/M/ready``."""
    return {"name": signature.model, "ready": is_ready}


def model_metadata(signature: Signature, platform: str = PLATFORM) -> Answer:
    """Answer ``/v2/models/M``."""
    return {
        "name": signature.model,
        "versions": [signature.version],
        "platform": platform,
        "inputs": [_described(tensor) for tensor in signature.inputs],
        "outputs": [_described(tensor) for tensor in signature.outputs],
    }


def model_config(
    signature: Signature,
    groups: tuple[Group, ...],
    batching: Batching | None,
    platform: str = PLATFORM,
) -> Answer:
    """Answer ``/v2/models/M/config``; ``batching`` is None if requests are never joined.

    The answer has the fields of Triton's ModelConfig that apply here, and all its fields of an
    input and an output, because clients read those without checking that they exist.
    """
    config: Answer = {
        "name": signature.model,
        "platform": platform,
        "backend": PLATFORM,
        "version_policy": {"specific": {"versions": [_integer(signature.version)]}},
        "max_batch_size": signature.max_batch,
        "input": [_configured(tensor) | _INPUT for tensor in signature.inputs],
        "output": [_configured(tensor) | _OUTPUT for tensor in signature.outputs],
        "instance_group": [
            {"name": group.name, "kind": "KIND_CPU", "count": group.count, "gpus": []}
            for group in groups
        ],
    }
    if batching is not None:
        config["dynamic_batching"] = {
            "preferred_batch_size": list(batching.preferred),
            "max_queue_delay_microseconds": batching.delay_us,
            "preserve_ordering": False,
            "priority_levels": 0,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": batching.timeout_us,
                "allow_timeout_override": True,
                "max_queue_size": batching.queue,
            },
        }
    return config


def repository_index(
    signature: Signature, is_ready: bool = True, ready_only: bool = False
) -> list[Answer]:
    """Answer ``/v2/repository/index``; see ``wants_ready_only`` for ``ready_only``."""
    if ready_only and not is_ready:
        return []
    state = "READY" if is_ready else "LOADING"
    return [{"name": signature.model, "version": signature.version, "state": state}]


class _IndexRequest(msgspec.Struct):
    ready: bool = False


def wants_ready_only(body: memoryview) -> bool:
    """Whether the body of an index request, which may be empty, asks only for ready models."""
    if not body.nbytes:
        return False
    try:
        return msgspec.json.decode(body, type=_IndexRequest).ready
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("the body must be a JSON object, and 'ready' true or false") from error


def _described(tensor: Tensor) -> Answer:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shaped(-1)}


def _configured(tensor: Tensor) -> Answer:
    return {
        "name": tensor.name,
        "data_type": f"TYPE_{tensor.datatype}",
        "dims": list(tensor.shape),
    }


def _integer(version: str) -> int | str:
    return int(version) if version.isdecimal() else version
