"""Counters of a served model, and Triton's JSON of them."""

import msgspec

from coresplit.serving.protocol.signature import Signature

Answer = dict[str, object]


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often something happened, and the nanoseconds it took in all."""

    count: int = 0
    ns: int = 0


class BatchCounters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The forwards of one batch size."""

    batch_size: int
    compute_input: Spent = Spent()
    compute_infer: Spent = Spent()
    compute_output: Spent = Spent()


class Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was served since the start.

    ``last_inference_ms`` is Unix time, 0 before the first. ``inference_count`` counts rows of
    successful requests, ``execution_count`` forwards; the others count requests. ``success`` and
    ``fail`` take from arrival to answer.
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
    """Answer ``/v2/models/M/stats``. Nothing is cached here, and no answer is streamed."""
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
