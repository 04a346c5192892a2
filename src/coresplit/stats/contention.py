"""Whether a visit had its cores to itself, judged by counters read around it; pure.

Disturbances are detected by counters and not by latency, so that no visit is dropped for being
slow. The limits are far above what visits on a quiet machine show.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence

import msgspec

from coresplit.format import format_share
from coresplit.records import AnchorVisit, Cause, Disturbed, Measurement, Run, Signs, Verification

WAIT_LIMIT, WAIT_FLOOR_S = 0.05, 0.003
"""On two quiet cores, visits waited at most 1.9 %, short ones 2.1 ms; next to a busy loop >31 %."""
OTHERS_LIMIT, OTHERS_FLOOR_S = 0.10, 0.05
"""Counted in ticks: others ran at most 22 ms in a quiet visit, over 10 % only of short ones."""
SWITCHES_LIMIT = 20.0
"""Per second. Quiet visits have up to 76, visits next to a busy loop over 80: no test by itself."""
SIBLING_LIMIT = 0.10
FAULTS_LIMIT = 32
"""Quiet visits have none; a few library pages that are loaded late are no disturbance."""
CLOCK_LIMIT = 0.10
LEAST_FACTOR, MOST_SHARE = 2.0, 0.9
MOST_PLACES = 3


class Disturbance(msgspec.Struct, frozen=True, kw_only=True):
    """What disturbed a visit: the cause, its logical CPU if there is one, and the reason in words.

    ``share`` is the disturbed share of the visit's time, or the relative change of the clock.
    """

    cause: Cause
    cpu: int | None = None
    share: float = 0.0
    reason: str


def disturbance(signs: Signs | None, usual_hz: float | None = None) -> Disturbance | None:
    """What disturbed a visit; None if nothing did or nothing is known.

    ``usual_hz`` is the clock frequency of the other visits of its cell.
    """
    if signs is None or signs.wall_s <= 0:
        return None
    return _process(signs) or _sibling(signs) or _disk(signs) or _clock(signs, usual_hz)


def disturbances(each: Sequence[Signs | None]) -> list[Disturbance | None]:
    """What disturbed each visit of a cell; the usual clock is the median of undisturbed visits."""
    found = [disturbance(signs) for signs in each]
    clocks = [
        signs.clock_hz
        for signs, one in zip(each, found, strict=True)
        if one is None and signs is not None and signs.clock_hz
    ]
    usual = statistics.median_low(clocks) if clocks else None
    return [disturbance(signs, usual) for signs in each]


def disturbed(measurement: Measurement) -> str | None:
    """Why no visit of a cell can be trusted; None if some can.

    Disturbed visits are kept only while there are no others.
    """
    found = disturbances([visit.signs for visit in measurement.visits])
    worst = max(filter(None, found), key=lambda one: one.share, default=None)
    return worst.reason if worst is not None and all(found) else None


def doubt(measurement: Measurement) -> float:
    """By how much the log of a latency may be too high: 0 unless the cell is ``disturbed``.

    A thread that had half of a core takes twice as long, one that had a tenth ten times as long.
    The result is at least the log of two.
    """
    if disturbed(measurement) is None:
        return 0.0
    found = disturbances([visit.signs for visit in measurement.visits])
    share = max(one.share for one in found if one is not None)
    return math.log(max(LEAST_FACTOR, 1 / (1 - min(share, MOST_SHARE))))


def _process(signs: Signs) -> Disturbance | None:
    place = "a core" if signs.core is None else f"core {signs.core}"
    if signs.waited_s is not None:
        held_s, limit_s = signs.waited_s, max(WAIT_LIMIT * signs.wall_s, WAIT_FLOOR_S)
    else:
        held_s, limit_s = signs.others_s, max(OTHERS_LIMIT * signs.wall_s, OTHERS_FLOOR_S)
        if signs.switches <= SWITCHES_LIMIT * signs.wall_s:
            # what ran on the core did not preempt a thread
            return None
    if held_s <= limit_s:
        return None
    share = min(1.0, held_s / signs.wall_s)
    reason = f"another process held {format_share(share)} of {place}"
    return Disturbance(cause="process", cpu=signs.core, share=share, reason=reason)


def _sibling(signs: Signs) -> Disturbance | None:
    if signs.sibling is None or signs.sibling_s <= max(
        SIBLING_LIMIT * signs.wall_s, OTHERS_FLOOR_S
    ):
        return None
    share = min(1.0, signs.sibling_s / signs.wall_s)
    return Disturbance(
        cause="sibling",
        cpu=signs.sibling,
        share=share,
        reason=f"CPU {signs.sibling}, which shares a core with it, was {format_share(share)} busy",
    )


def _disk(signs: Signs) -> Disturbance | None:
    if signs.major_faults <= FAULTS_LIMIT:
        return None
    reason = f"{signs.major_faults} of its memory pages were read from disk"
    return Disturbance(cause="disk", reason=reason)


def _clock(signs: Signs, usual_hz: float | None) -> Disturbance | None:
    now = signs.clock_hz
    for before, words in ((signs.clock_begin_hz, "changed from"), (usual_hz, "was mostly")):
        if now and before and abs(now / before - 1) > CLOCK_LIMIT:
            then = "to" if words == "changed from" else "and once"
            return Disturbance(
                cause="clock",
                share=abs(now / before - 1),
                reason=f"the clock {words} {before / 1e9:.2f} GHz {then} {now / 1e9:.2f} GHz",
            )
    return None


def visits_of(run: Run) -> int:
    """The number of visits in a run: of cells and the anchor, rounds, and disturbed ones."""
    clean = sum(len(item.visits) for item in run.measurements if not disturbed(item))
    return clean + sum(
        isinstance(entry, AnchorVisit | Verification | Disturbed) for entry in run.journal
    )


def told(run: Run) -> str | None:
    """One sentence on how many visits were disturbed, where and by what; None if none was."""
    entries = [entry for entry in run.journal if isinstance(entry, Disturbed)]
    if not entries:
        return None
    worst: dict[tuple[Cause, int | None], Disturbed] = {}
    for entry in sorted(entries, key=lambda entry: entry.share):
        worst[entry.cause, entry.cpu] = entry
    counts = Counter((entry.cause, entry.cpu) for entry in entries)
    places = [worst[key].reason for key, _ in counts.most_common(MOST_PLACES)]
    names = Counter(entry.by for entry in entries if entry.by)
    by = f"; mostly by {names.most_common(1)[0][0]}" if names else ""
    only = sum(disturbed(item) is not None for item in run.measurements)
    left = "they were repeated and are not used"
    if only:
        cells = "cell has" if only == 1 else "cells have"
        left = f"{only} {cells} no other visit and cannot be trusted"
    verb = "was" if len(entries) == 1 else "were"
    found = f"{len(entries)} of {visits_of(run)} visits {verb} disturbed{by}"
    return f"{found}; at worst {', '.join(places)}; {left}"
