"""The settings of changing the active set, and how switcher and adapter are built from them."""

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
    """How the active set can be changed.

    ``offer`` creates the set of a split and an optimization; ``known`` sets can be asked for by
    name. ``candidates`` are the known sets that ``rules`` choose from by the load; empty if the
    server does not follow its load. All instances together may take ``most_bytes`` of memory; None
    for twice the memory of the first set, or for all free memory if there are candidates.
    ``available`` returns the free bytes. The management endpoint listens on ``port``, None for no
    endpoint; ``on_ready`` is called with the actual port.
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
    """Create the switcher of an engine whose first set is ready.

    ``free`` is the number of free bytes before anything was started.
    """
    taken = sum(engine.crew.memory.values())
    most: float
    if changing.most_bytes is not None:
        most = changing.most_bytes
    else:
        most = max(taken, free - arena)
        if not changing.candidates:
            most = min(most, 2 * taken)

    def left() -> int:
        # requests may use the rest of the arena at any time
        return changing.available() - (arena - shared(os.getpid()))

    clock = asyncio.get_running_loop().time
    found = Switcher(engine, hearer, clock, free=left, most_bytes=most)
    for each in changing.known:
        found.know(each, lasting=True)
    return found


def adapter_of(changing: Changing, engine: Engine, switcher: Switcher) -> Adapter | None:
    """Create the adapter that follows the load; None if there are fewer than two candidates."""
    if len(changing.candidates) < 2:
        return None
    prepare_s = max(
        (each.ready.prepare_s for each in engine.crew.seats if each.ready is not None), default=0.0
    )
    return Adapter(engine, switcher, changing.candidates, changing.rules, prepare_s=prepare_s)
