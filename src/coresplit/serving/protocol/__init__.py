"""The Open Inference Protocol over HTTP with Triton's binary data, from bytes to records and back.

routing     a method and a path to an endpoint
given       the JSON of a request, within bounds; ``nesting`` says how it is built
parse       the body of a request to where its tensors lie; ``parameters`` are read here
write       outputs to the parts of a body; ``numbers`` writes tensors as JSON
metadata    answers of the endpoints without tensors
statistics  counters, and Triton's JSON of them
refusals    what a client is refused, with the status

Everything is pure. Where the protocol leaves something open, the answer is Triton's, as clients are
written for it, with exceptions that ``benchmarks/serving/oracle.py`` finds and its results list:

- A mistake of the client is 4xx, also where Triton has 500.
- JSON is JSON: NaN, infinity and bytes that are no UTF-8 are refused in it, and never sent.
- A value, a length or a version is what it says, or it is refused; nothing wraps around or is cut.
- A tensor in JSON is flat or nested as its shape says, not in any other way of as many values.
- FP16 and BF16 may be JSON numbers, and a raw tensor may have several rows.
- An output that does not say how it is wanted follows ``binary_data_output``, as written, also
  where it is named. Outputs come in the order in which they were named.
- What would change the answer and is not there is refused: classes, sequences, shared memory.
"""

from coresplit.serving.protocol.metadata import (
    Batching,
    Group,
    live,
    model_config,
    model_metadata,
    model_ready,
    ready,
    repository_index,
    server_metadata,
    wants_ready_only,
)
from coresplit.serving.protocol.parse import HEADER_LENGTH, parse_infer
from coresplit.serving.protocol.refusals import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    Refusal,
    WrongOutput,
)
from coresplit.serving.protocol.request import DEEPEST, InferRequest, Raw, Text, Wanted
from coresplit.serving.protocol.routing import Endpoint, Route, check_model, route
from coresplit.serving.protocol.signature import (
    ELEMENT_BYTES,
    Signature,
    Tensor,
    datatype_of,
    dtype_of,
    tensors_of,
)
from coresplit.serving.protocol.statistics import (
    BatchCounters,
    Counters,
    Spent,
    model_statistics,
)
from coresplit.serving.protocol.write import write_error, write_infer, write_json

__all__ = [
    "DEEPEST",
    "ELEMENT_BYTES",
    "HEADER_LENGTH",
    "BadRequest",
    "BatchCounters",
    "Batching",
    "Counters",
    "Endpoint",
    "Group",
    "InferRequest",
    "MethodNotAllowed",
    "NotFound",
    "Raw",
    "Refusal",
    "Route",
    "Signature",
    "Spent",
    "Tensor",
    "Text",
    "Wanted",
    "WrongOutput",
    "check_model",
    "datatype_of",
    "dtype_of",
    "live",
    "model_config",
    "model_metadata",
    "model_ready",
    "model_statistics",
    "parse_infer",
    "ready",
    "repository_index",
    "route",
    "server_metadata",
    "tensors_of",
    "wants_ready_only",
    "write_error",
    "write_infer",
    "write_json",
]
