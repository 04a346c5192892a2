"""Every cell of a run as plain values."""

from typing import Any

from coresplit.records import Run
from coresplit.stats.claims import Claims


def cell_records(run: Run) -> list[dict[str, Any]]:
    """Return a dict for every cell: its key, verdict, latency with interval, and counters.

    Times in seconds, memory in bytes, throughput in inferences per second; None if not known.
    """
    points = Claims(run).points
    found = []
    for item in run.measurements:
        cell, point, evidence = item.cell, points.get(item.cell), item.evidence
        forwards = evidence.forwards if evidence else 0
        found.append(
            {
                "model": run.model.name,
                "optimization": cell.optimization,
                "threads": cell.threads,
                "batch": cell.batch,
                "mapping": cell.mapping,
                "allocator": cell.allocator,
                "setting": cell.setting,
                "verdict": item.verdict,
                "reason": item.reason,
                "latency_s": point.latency if point else None,
                "latency_low_s": point.low if point else None,
                "latency_high_s": point.high if point else None,
                "throughput": cell.batch / point.latency if point else None,
                "samples": len(item.samples),
                "visits": len(item.visits),
                "peak_memory": evidence.peak_memory if evidence else None,
                "page_faults": evidence.minor_faults / forwards if evidence and forwards else None,
            }
        )
    return found
