"""Which instances are prepared first, and which are started again later; pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from coresplit.sweep.pool import Key


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """What preparing an instance is expected to take: ``first_s`` seconds, or ``again_s``.

    The first instance of an ``artefact`` makes it, such as the export of a model, and the others
    only load it; empty where nothing is kept. ``compiles`` marks a compiler that has yet to run,
    which takes minutes where others take seconds.
    """

    first_s: float
    again_s: float
    artefact: str = ""
    compiles: bool = False


Efforts = Callable[[Key], Effort]


def alike(key: Key) -> Effort:
    """What is expected where nothing is known: all take the same."""
    return Effort(first_s=1.0, again_s=1.0)


def in_order(keys: Iterable[Key], efforts: Efforts) -> list[tuple[Key, float]]:
    """The instances in the order to prepare them, each with the seconds it is expected to take.

    Compilers come last, and copies of an instance after all single ones. Before that order goes
    breadth: whatever shows a value of a dimension for the first time, cheapest first; then the
    rest, cheapest first.
    """
    left = {key: efforts(key) for key in dict.fromkeys(keys)}
    places = {key: place for place, key in enumerate(left)}
    seen: set[tuple[str, object]] = set()
    made: set[str] = set()
    ordered = []

    def cost(key: Key) -> float:
        effort = left[key]
        return effort.again_s if effort.artefact in made else effort.first_s

    def rank(key: Key) -> tuple[bool, bool, bool, float, int]:
        new = not seen.issuperset(_values(key))
        packed = key.setting == "packed"
        return left[key].compiles, packed, not new, cost(key), places[key]

    while left:
        key = min(left, key=rank)
        ordered.append((key, cost(key)))
        seen.update(_values(key))
        effort = left.pop(key)
        if effort.artefact:
            made.add(effort.artefact)
    return ordered


def _values(key: Key) -> list[tuple[str, object]]:
    return list(msgspec.structs.asdict(key).items())


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
