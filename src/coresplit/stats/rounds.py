"""Compare things measured side by side, once per round each, with the first of them; pure.

A value is the product of the time its thing takes and of how slow its round was. The residuals
show how much each thing varies. A few rounds say little about that, so the variance of each thing
is moderated by those of all others (Smyth, "Linear models and empirical Bayes methods for assessing
differential expression", 2004, as in ``stats.variance``).
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from coresplit.stats.difference import Contrast, of_rounds
from coresplit.stats.fitting import FEWEST_DF, prior_of
from coresplit.stats.variance import median_variance

Round = Mapping[str, float]
"""The log time of each thing; every round has the first one and at least one other."""


def against(first: str, groups: Sequence[Sequence[Round]]) -> dict[str, Contrast]:
    """How many times as fast ``first`` is as each of the others.

    All rounds of a group contain the same things; each of the others is in one group, with two
    rounds or more. If too little is known of the variances, a pair is judged by its own rounds.
    """
    spreads = [(_spreads(rounds), len(rounds) - 1) for rounds in groups]
    total = sum((len(found) - 1) * df for found, df in spreads)
    logs = {
        name: [each[name] - each[first] for each in rounds]
        for rounds in groups
        for name in rounds[0]
        if name != first
    }
    if total < FEWEST_DF:
        return {name: of_rounds(each) for name, each in logs.items()}
    prior = prior_of(
        [(spread, float(df)) for found, df in spreads for spread in found.values()], float(total)
    )
    contrasts = {}
    for found, df in spreads:
        known = {name: prior.moderated(spread * df, df) for name, spread in found.items()}
        # the first is in every contrast: if its variance is underestimated, many are wrong
        own = max(known[first], found[first])
        for name in found:
            if name != first:
                each = known[name]
                freedom = (own + each) ** 2 / (own**2 / df + each**2 / prior.degrees(df))
                contrasts[name] = Contrast(
                    log=statistics.median(logs[name]),
                    error=math.sqrt(median_variance(df + 1) * (own + each)),
                    df=freedom,
                    pairs=df + 1,
                )
    return contrasts


def _spreads(rounds: Sequence[Round]) -> dict[str, float]:
    """The variance of each thing, without what all things of a round share."""
    names = list(rounds[0])
    middles = {name: statistics.fmean(each[name] for each in rounds) for name in names}
    shared = [statistics.median(each[name] - middles[name] for name in names) for each in rounds]
    # the median of a round takes a part of each residual
    count = len(names)
    left = (1 + median_variance(count) - 2 / count) * (len(rounds) - 1)
    return {
        name: math.fsum(
            (each[name] - middles[name] - both) ** 2
            for each, both in zip(rounds, shared, strict=True)
        )
        / left
        for name in names
    }
