"""Which instances are started anew, to see how far one process differs from another; pure."""

from collections.abc import Mapping

from coresplit.sweep.pool import Key

SHARE = 1 / 20
"""Of the budget that restarts may take."""
LONGEST_S = 60.0
AFTER_ROUNDS = 2
AFTER_SHARE, LAST_SHARE = 1 / 2, 4 / 5


def is_due(rounds: int, elapsed_s: float, budget_s: float) -> bool:
    """Whether there are visits to compare with: after two rounds, or half of the budget.

    Not in the last fifth of it: too few visits would follow.
    """
    due = rounds >= AFTER_ROUNDS or elapsed_s > AFTER_SHARE * budget_s
    return due and elapsed_s < LAST_SHARE * budget_s


def to_restart(prepare_s: Mapping[Key, float], budget_s: float) -> list[Key]:
    """The instances to start anew, quickest to prepare first, as many as fit in the share.

    ``prepare_s`` has the seconds that each took; ``budget_s`` is infinite for no limit.
    """
    left, chosen = SHARE * budget_s, []
    for key, took in sorted(prepare_s.items(), key=lambda item: item[1]):
        if took <= min(left, LONGEST_S):
            left -= took
            chosen.append(key)
    return chosen
