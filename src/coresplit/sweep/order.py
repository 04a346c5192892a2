"""Which instances to prepare first, and which to restart later; pure."""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from coresplit.sweep.pool import Key


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """The expected time to prepare an instance: ``first_s`` seconds, or ``again_s``.

    The first instance of an ``artefact``, such as the export of a model, creates it and takes
    ``first_s``; the others only load it. It is empty if nothing is kept. ``compiles`` marks a
    compiler that has yet to run, which takes minutes instead of seconds.
    """

    first_s: float
    again_s: float
    artefact: str = ""
    compiles: bool = False


Efforts = Callable[[Key], Effort]


def alike(key: Key) -> Effort:
    """The default effort if nothing is known: the same for all."""
    return Effort(first_s=1.0, again_s=1.0)


def in_order(keys: Iterable[Key], efforts: Efforts) -> list[tuple[Key, float]]:
    """The instances in the order to prepare them, each with its expected seconds.

    Compilers come last, and packed instances after single ones. Among equals, instances that add a
    new value of some dimension come first, so that all values are covered early, then the cheapest.
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
"""Share of the budget that restarts may take."""
LONGEST_S = 60.0
AFTER_ROUNDS = 2
AFTER_SHARE, LAST_SHARE = 1 / 2, 4 / 5


def is_due(rounds: int, elapsed_s: float, budget_s: float) -> bool:
    """True if a restart is due: after two rounds or half of the budget, to have visits to compare.

    Not in the last fifth of the budget, because too few visits would follow.
    """
    due = rounds >= AFTER_ROUNDS or elapsed_s > AFTER_SHARE * budget_s
    return due and elapsed_s < LAST_SHARE * budget_s


def to_restart(prepare_s: Mapping[Key, float], budget_s: float) -> list[Key]:
    """The instances to restart, quickest to prepare first, as many as fit in their budget share.

    ``prepare_s`` has the seconds that each took; ``budget_s`` is infinite for no limit.
    """
    left, chosen = SHARE * budget_s, []
    for key, took in sorted(prepare_s.items(), key=lambda item: item[1]):
        if took <= min(left, LONGEST_S):
            left -= took
            chosen.append(key)
    return chosen
