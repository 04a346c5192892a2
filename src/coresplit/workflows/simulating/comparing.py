"""Find the instances that served a load best, over rounds of the same arrivals; pure."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence

from coresplit.stats.difference import Contrast, decide, of_rounds
from coresplit.workflows.simulating.found import Gain, Gains, What
from coresplit.workflows.simulating.rounds import Figures

_VALUES: Mapping[What, Callable[[Figures], float | None]] = {
    "mean": lambda each: each.mean,
    "p99": lambda each: each.p99,
}


def ranking(found: Mapping[str, Sequence[Figures]]) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the best, the second, and all that are not shown to be worse than the best.

    They are ranked by the mean of squared latencies: it is low if the mean is low and the tail is
    short, and it is what adapting minimizes.
    """
    costs = {
        name: statistics.median(each.cost for each in figures) for name, figures in found.items()
    }
    best, *others = sorted(costs, key=lambda name: costs[name])
    contrasts = [
        _contrast([(a.cost, b.cost) for a, b in zip(found[best], found[other], strict=True)])
        for other in others
    ]
    close = tuple(
        name for name, how in zip(others, decide(contrasts), strict=True) if how != "faster"
    )
    return best, others[0] if others else None, close


def gains(name: str, own: Sequence[Figures], other: str, theirs: Sequence[Figures]) -> Gains:
    """Compare one with another in the figures that both have in every round."""
    contrasts: dict[What, Contrast] = {}
    for what, value in _VALUES.items():
        pairs = [(value(a), value(b)) for a, b in zip(own, theirs, strict=True)]
        known = [(a, b) for a, b in pairs if a is not None and b is not None]
        if len(known) == len(pairs):
            contrasts[what] = _contrast(known)
    relations = decide(list(contrasts.values()))
    return Gains(
        name=name,
        other=other,
        gains=tuple(
            Gain(
                what=what,
                ratio=each.ratio,
                low=each.bounds[0],
                high=each.bounds[1],
                relation=relation,
            )
            for (what, each), relation in zip(contrasts.items(), relations, strict=True)
        ),
    )


def _contrast(pairs: Sequence[tuple[float, float]]) -> Contrast:
    return of_rounds([math.log(theirs / own) for own, theirs in pairs])
