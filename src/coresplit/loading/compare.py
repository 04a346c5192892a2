"""Compare two servers from loads run in rounds; pure."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from coresplit.records.load import LoadCompared, LoadRun
from coresplit.stats.difference import decide, of_rounds

FEWEST_ROUNDS = 3
What = Literal["p50", "p99", "throughput"]

_VALUES: dict[What, Callable[[LoadRun], float | None]] = {
    "p50": lambda run: run.latency.p50 if run.latency and run.tells_latency else None,
    "p99": lambda run: run.latency.p99 if run.latency and run.tells_latency else None,
    "throughput": lambda run: run.throughput or None,
}


def compare(first: Sequence[LoadRun], second: Sequence[LoadRun]) -> tuple[LoadCompared, ...]:
    """Compare two servers; runs at the same index belong to one round.

    A round in which the generator was the bottleneck says nothing about the servers and is left
    out. A metric is omitted if fewer than three rounds remain, or if a round has no value for it:
    no throughput, or no usable latency because too many of its requests failed.
    """
    rounds = [
        (one, other)
        for one, other in zip(first, second, strict=False)
        if not (one.generator.limit or other.generator.limit)
    ]
    found = []
    for what, value in _VALUES.items():
        pairs = [
            (mine, theirs)
            for one, other in rounds
            if (mine := value(one)) is not None and (theirs := value(other)) is not None
        ]
        if len(pairs) < max(FEWEST_ROUNDS, len(rounds)):
            continue
        sign = 1 if what == "throughput" else -1
        found.append((what, pairs, of_rounds([sign * math.log(a / b) for a, b in pairs])))
    relations = decide([contrast for _, _, contrast in found])
    return tuple(
        LoadCompared(
            what=what,
            first=statistics.median(mine for mine, _ in pairs),
            second=statistics.median(theirs for _, theirs in pairs),
            ratio=contrast.ratio,
            low=contrast.bounds[0],
            high=contrast.bounds[1],
            rounds=len(pairs),
            relation=relation,
        )
        for (what, pairs, contrast), relation in zip(found, relations, strict=True)
    )
