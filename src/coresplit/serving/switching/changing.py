"""What a server may change to, by whose wish, and the parts that do it."""

import asyncio
import os
from collections.abc import Callable, Mapping

import msgspec

from coresplit.instance.memory import shared
from coresplit.serving.adapting.controller import Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.engine import Engine
from coresplit.serving.sets import InstanceSet
from coresplit.serving.switching.adapter import Adapter
from coresplit.serving.switching.managing import Offer
from coresplit.serving.switching.switcher import Switcher
from coresplit.serving.switching.wishes import Hearer


class Changing(msgspec.Struct, frozen=True, kw_only=True):
    """How the set that serves can be changed.

    ``offer`` makes the set of a split and an optimization; ``known`` are offered by name too.
    ``candidates`` are those of them that the load chooses from by ``rules``, none where it does
    not. All instances together may take ``most_bytes`` of memory; None for twice what those of the
    first set take, or for what is free where the load chooses. ``available`` tells how much is
    free. People ask at ``port``, None for nobody; ``on_ready`` hears which it is.
    """

    offer: Offer
    known: tuple[InstanceSet, ...] = ()
    candidates: Mapping[str, Candidate] = {}
    rules: Rules = Rules()
    most_bytes: int | None = None
    available: Callable[[], int]
    port: int | None = None
    on_ready: Callable[[int], None]


def switcher_of(
    changing: Changing, engine: Engine, hearer: Hearer, *, arena: int, free: float
) -> Switcher:
    """Of an engine whose first set is ready; ``free`` bytes were so before anything was started."""
    taken = sum(engine.crew.memory.values())
    most: float
    if changing.most_bytes is not None:
        most = changing.most_bytes
    else:
        most = max(taken, free - arena)
        if not changing.candidates:
            most = min(most, 2 * taken)

    def left() -> int:
        # requests may take the rest of the arena at any time
        return changing.available() - (arena - shared(os.getpid()))

    clock = asyncio.get_running_loop().time
    found = Switcher(engine, hearer, clock, free=left, most_bytes=most)
    for each in changing.known:
        found.know(each, lasting=True)
    return found


def adapter_of(changing: Changing, engine: Engine, switcher: Switcher) -> Adapter | None:
    """What follows the load, where anything does and there is more than one set to choose from."""
    if len(changing.candidates) < 2:
        return None
    prepare_s = max(
        (each.ready.prepare_s for each in engine.crew.seats if each.ready is not None), default=0.0
    )
    return Adapter(engine, switcher, changing.candidates, changing.rules, prepare_s=prepare_s)
