"""Counters of a served model, and their JSON as in Triton."""

import msgspec

from coresplit.serving.protocol.signature import Signature

Answer = dict[str, object]


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A count of events, and their total duration in nanoseconds."""

    count: int = 0
    ns: int = 0


class BatchCounters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Counters of one batch size's forwards."""

    batch_size: int
    compute_input: Spent = Spent()
    compute_infer: Spent = Spent()
    compute_output: Spent = Spent()


class Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Counters since the start.

    ``last_inference_ms`` is Unix time, 0 before the first request. ``inference_count`` counts rows
    of successful requests, ``execution_count`` forwards; the others count requests. The durations
    of ``success`` and ``fail`` are from arrival to answer.
    """

    last_inference_ms: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success: Spent = Spent()
    fail: Spent = Spent()
    queue: Spent = Spent()
    compute_input: Spent = Spent()
    compute_infer: Spent = Spent()
    compute_output: Spent = Spent()
    batches: tuple[BatchCounters, ...] = ()


def model_statistics(signature: Signature, counters: Counters) -> Answer:
    """Answer ``/v2/models/M/stats``; cache and streaming statistics are empty."""
    return {
        "model_stats": [
            {
                "name": signature.model,
                "version": signature.version,
                "last_inference": counters.last_inference_ms,
                "inference_count": counters.inference_count,
                "execution_count": counters.execution_count,
                "inference_stats": {
                    "success": _shown(counters.success),
                    "fail": _shown(counters.fail),
                    "queue": _shown(counters.queue),
                    "compute_input": _shown(counters.compute_input),
                    "compute_infer": _shown(counters.compute_infer),
                    "compute_output": _shown(counters.compute_output),
                    "cache_hit": _shown(Spent()),
                    "cache_miss": _shown(Spent()),
                },
                "response_stats": {},
                "batch_stats": [
                    {
                        "batch_size": each.batch_size,
                        "compute_input": _shown(each.compute_input),
                        "compute_infer": _shown(each.compute_infer),
                        "compute_output": _shown(each.compute_output),
                    }
                    for each in sorted(counters.batches, key=lambda each: each.batch_size)
                ],
                "memory_usage": [],
            }
        ]
    }


def _shown(spent: Spent) -> dict[str, int]:
    return {"count": spent.count, "ns": spent.ns}
