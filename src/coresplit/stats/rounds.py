"""Many things measured once in every round, side by side: how each stands to the first; pure.

A value is that of its thing times that of its round. What is left over tells how much each of them
varies; few rounds tell little of that, so it is moderated by what the others do (Smyth, "Linear
models and empirical Bayes methods for assessing differential expression", 2004, as in
``stats.variance``).
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from coresplit.stats.difference import Contrast, of_rounds
from coresplit.stats.fitting import FEWEST_DF, prior_of
from coresplit.stats.variance import median_variance

Round = Mapping[str, float]
"""The log of what each thing took; the first one and at least one other are in every round."""


def against(first: str, groups: Sequence[Sequence[Round]]) -> dict[str, Contrast]:
    """How many times as fast ``first`` is as each of the others.

    Rounds of one group have the same things in them; each of the others is in one group, with two
    rounds or more. Where too little is known of how things vary, by the rounds of the two alone.
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
        # it is in all contrasts: were it taken to vary less than it does, many would be wrong
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
    """The variance of each thing, but for what all of a round share."""
    names = list(rounds[0])
    middles = {name: statistics.fmean(each[name] for each in rounds) for name in names}
    shared = [statistics.median(each[name] - middles[name] for name in names) for each in rounds]
    # the median of a round has its part of each
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
