"""The Open Inference Protocol over HTTP with Triton's binary data: bytes to records and back.

routing     method and path to endpoint
given       the JSON of a request, with its size checked; ``nesting`` checks its depth
parse       request body to the positions of its tensors; ``parameters`` reads parameters
write       outputs to the parts of a body; ``numbers`` writes tensors as JSON
metadata    answers of the endpoints without tensors
statistics  counters as Triton's JSON
refusals    error answers with their status

Everything is pure. Where the protocol leaves something open, this server does what Triton does,
because clients are written for Triton. Exceptions are found and listed by
``benchmarks/serving/oracle.py``:

- A client's mistake is answered with 4xx, even if Triton answers 500.
- JSON is strict: NaN, infinity and bytes that are not UTF-8 are refused and never sent.
- Values, lengths and versions are taken exactly or refused; nothing wraps around or is truncated.
- A tensor in JSON is flat or nested as its shape; other nestings of as many values are refused.
- FP16 and BF16 may be JSON numbers, and a raw tensor may have several rows.
- ``binary_data_output`` is the default of every output, also of outputs that are named. Outputs are
  sent in the order in which they were named.
- Unsupported features that would change the answer are refused: classification, sequences, shared
  memory.
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
