"""One sentence for every chart, computed from its rows; pure.

Only differences that the claims of the run support are named, and a value that is estimated, light
or unstable is marked. Every function takes at least one row and returns one sentence that ends in
a full stop.
"""

import statistics
from collections.abc import Sequence

import msgspec

from coresplit.analysis.rows import Row, Speedup
from coresplit.analysis.significance import (
    DIMINISHED,
    FASTER,
    SLOWER,
    busiest,
    by_optimization,
    differs,
    gains_differ,
    knee,
    quickest,
    relation,
)
from coresplit.format import listed, on_threads, percent, some_cells, times
from coresplit.records import Cell
from coresplit.reports.wording import EQUIVALENT, UNCLEAR, doubt, latency, named, throughput
from coresplit.stats.claims import Claims
from coresplit.stats.difference import Contrast

LITTLE = f"under {percent(DIMINISHED)}"


def latency_at_batch(rows: Sequence[Row], claims: Claims) -> str:
    """Which optimization is fastest at one batch, and by how much the others trail it."""
    head = f"Batch {rows[0].cell.batch}: "
    best = {name: quickest(members) for name, members in by_optimization(rows).items()}
    if len(best) == 1:
        return f"{head}{rows[0].cell.optimization} {_fall(rows, claims)}."
    leader, tied, others = _ranking(list(best.values()), claims)
    where = f"{latency(leader)} on {on_threads(leader.cell.threads)}"
    if tied:
        start = f"{_names([leader, *tied])} are {_tie(leader, tied, claims)} at {where}"
    else:
        start = f"{named(leader)} is fastest, {where}"
    return f"{head}{start}{_trailing(leader, others, claims)}."


def throughput_at_batch(rows: Sequence[Row], claims: Claims) -> str:
    """Which optimization has the most throughput at one batch, and where its threads saturate."""
    head = f"Batch {rows[0].cell.batch}: "
    members = by_optimization(rows)
    best = [busiest(listed_rows) for listed_rows in members.values()]
    leader, tied, others = _ranking(best, claims)
    where = f"{throughput(leader)} on {on_threads(leader.cell.threads)}"
    if tied:
        start = f"{_names([leader, *tied])} are {_tie(leader, tied, claims)} at {where}"
    else:
        start = f"{named(leader)} reaches {where}"
    if others and not tied:
        second = others[0]
        ratio = times(leader.throughput / second.throughput)
        rival = f"{named(second)}{doubt(second.verdict)}"
        start += f", {ratio} {rival}{_elsewhere(leader, second)}"
    return f"{head}{start}{_beyond(members[leader.cell.optimization], claims)}."


def latency_of_optimization(rows: Sequence[Row], claims: Claims) -> str:
    """What threads do to the latency of the smallest and the largest batch."""
    batches = sorted({row.cell.batch for row in rows})
    ends = batches[:1] if len(batches) == 1 else [batches[0], batches[-1]]
    parts = [
        f"batch {batch} {_fall([row for row in rows if row.cell.batch == batch], claims)}"
        for batch in ends
    ]
    return f"{rows[0].cell.optimization}: {'; '.join(parts)}."


def throughput_of_optimization(rows: Sequence[Row], claims: Claims) -> str:
    """The highest throughput, and the smallest batch that is not shown to be slower."""
    top = busiest(rows)
    start = (
        f"{top.cell.optimization} peaks at {throughput(top)}, at batch {top.cell.batch} on "
        f"{on_threads(top.cell.threads)}"
    )
    batches = sorted({row.cell.batch for row in rows})
    for batch in batches:
        best = busiest(row for row in rows if row.cell.batch == batch)
        if batch < top.cell.batch and (said := _alike(best, top, claims)):
            return f"{start}; batch {batch}{doubt(best.verdict)} is {said}."
    first = busiest(row for row in rows if row.cell.batch == batches[0])
    if batches[0] < top.cell.batch:
        return f"{start}; batch {batches[0]} reaches {throughput(first)}."
    return f"{start}."


def speedup_of_optimization(rows: Sequence[Row], claims: Claims) -> str:
    """How far the best and the worst batch scale; estimates count only if all are estimates."""
    name = rows[0].cell.optimization
    firm = [row for row in rows if row.speedup and row.speedup.verdict != "estimated"]
    measured = [row for row in firm if row.speedup and row.speedup.base < row.cell.threads]
    curves: dict[int, list[Row]] = {}
    for row in measured or rows:
        curves.setdefault(row.cell.batch, []).append(row)
    peaks = [max(curve, key=_speedup) for curve in curves.values()]
    peaks.sort(key=lambda row: (-_speedup(row), row.cell.batch))
    gaining = [row for row in peaks if gains(row, claims)]
    if not gaining:
        return f"{name}: no batch is shown to gain from more threads."
    best = gaining[0]
    others = [row for row in peaks if row is not best]
    lower = [row for row in others if _gains_less(row, best, claims)]
    start = f"Batch {best.cell.batch}: {name} scales to {_said_speedup(best)}"
    start += beyond_linear(best.speedup)
    whole = [row for row in rows if row.cell.batch == best.cell.batch]
    if not lower:
        start += f"; the other batches are {UNCLEAR}" if others else ""
        return f"{start}{_beyond(whole, claims)}."
    least = lower[-1]
    stop = f"; batch {least.cell.batch} reaches only {_said_speedup(least)}"
    point = knee([row for row in rows if row.cell.batch == least.cell.batch], claims)
    if point is None:
        return f"{start}{stop}."
    return f"{start}{stop}, where each thread beyond {point} adds {LITTLE}."


def throughput_over_batch(rows: Sequence[Row], claims: Claims) -> str:
    """Which batch has the most throughput on the most threads, and what larger ones lose."""
    threads = max(row.cell.threads for row in rows)
    line = sorted((r for r in rows if r.cell.threads == threads), key=lambda r: r.cell.batch)
    name, top = line[0].cell.optimization, busiest(line)
    head = f"{name} on {on_threads(threads)}: "
    if len(line) == 1:
        return f"{head}{throughput(top)} at batch {top.cell.batch}."
    if not any(differs(row, top, claims) for row in line):
        every = {relation(row, top, claims) for row in line}
        said = EQUIVALENT if every == {"equivalent"} else UNCLEAR
        return f"{head}all batches are {said}, at {throughput(top)}."
    start = f"{head}the peak is {throughput(top)} at batch {top.cell.batch}"
    first, last = next(row for row in line if not differs(row, top, claims)), line[-1]
    if first is not top:
        start += f"; batch {first.cell.batch} is {_alike(first, top, claims)}"
    if relation(last, top, claims) != SLOWER:
        return f"{start}."
    lost = percent(1 - last.throughput / top.throughput)
    return f"{start}; batch {last.cell.batch}{doubt(last.verdict)} is {lost} lower."


def throughput_map(rows: Sequence[Row], claims: Claims) -> str:
    """How many cells come close to the best one, and with how few threads."""
    top = busiest(rows)
    near = [row for row in rows if row.throughput >= 0.9 * top.throughput]
    fewest = min(row.cell.threads for row in near)
    spread = f"; all of them use {on_threads(fewest)} or more" if fewest < top.cell.threads else ""
    return (
        f"{top.cell.optimization}: {len(near)} of {some_cells(len(rows))} come within 10 % of "
        f"the best, {throughput(top)}{spread}."
    )


def gain_map(pairs: Sequence[tuple[Row, Row]], claims: Claims) -> str:
    """In how many cells an optimization (first of each pair) beats the other one."""
    name, other = named(pairs[0][0]), named(pairs[0][1])
    return f"{counted(pairs, name, other, claims)}."


def counted(pairs: Sequence[tuple[Row, Row]], name: str, other: str, claims: Claims) -> str:
    """In how many cells the first of each pair is faster or slower than the second, or neither."""
    kinds = [relation(row, rival, claims) for row, rival in pairs]
    ratios = [claims.contrast(row.cell, rival.cell).ratio for row, rival in pairs]
    parts = []
    for kind, start in ((FASTER, f"{name} is faster than {other} in"), (SLOWER, "slower in")):
        own = [ratio for ratio, each in zip(ratios, kinds, strict=True) if each == kind]
        if own or kind == FASTER:
            text = f"{start} {len(own)}"
            text += f" of {some_cells(len(pairs))}" if kind == FASTER else ""
            parts.append(text + (f", median {times(statistics.median(own))}" if own else ""))
    for kind, text in (("equivalent", EQUIVALENT), ("unclear", UNCLEAR)):
        if count := kinds.count(kind):
            parts.append(f"{text} in {count}")
    guessed = sum("estimated" in (row.verdict, rival.verdict) for row, rival in pairs)
    note = f" ({guessed} estimated)" if guessed else ""
    return f"{'; '.join(parts)}{note}"


def gains(row: Row, claims: Claims) -> bool:
    """True if a row is shown to be faster than the same cell on its base threads."""
    base = _base_of(row)
    return base is not None and claims.relation(row.cell, base) == FASTER


def beyond_linear(speedup: Speedup | None) -> str:
    """A note on a speedup beyond linear: within noise, or with another cause."""
    if speedup is None or speedup.value <= speedup.linear:
        return ""
    linear = f"linear would be {times(speedup.linear)}"
    if not speedup.superlinear:
        return f" ({linear}; the excess is within noise)"
    return f" ({linear}; caches or the clock frequency must play a part)"


def _fall(rows: Sequence[Row], claims: Claims) -> str:
    first, best = min(rows, key=lambda row: row.cell.threads), quickest(rows)
    start = f"takes {latency(first)} on {on_threads(first.cell.threads)}"
    if len({row.cell.threads for row in rows}) == 1:
        return start
    if best is first:
        return f"{start}, and more threads show no gain"
    if (said := _alike(best, first, claims)) is not None:
        return f"{start}, and with more threads it is {said}"
    ratio = times(first.point.latency / best.point.latency)
    return f"{start} and {latency(best)} on {best.cell.threads}, {ratio} faster"


def _alike(row: Row, other: Row, claims: Claims) -> str | None:
    """How to call two rows that are not shown to differ; None if they differ."""
    kind = relation(row, other, claims)
    return {"equivalent": EQUIVALENT, "unclear": UNCLEAR}.get(kind)


def _beyond(rows: Sequence[Row], claims: Claims) -> str:
    point = knee(rows, claims)
    return "" if point is None else f"; each thread beyond {point} adds {LITTLE}"


def _ranking(best: Sequence[Row], claims: Claims) -> tuple[Row, list[Row], list[Row]]:
    """The leader, those tied with it, and the others, each best first."""
    ordered = sorted(best, key=lambda row: (-row.throughput, row.cell.optimization))
    leader, rest = ordered[0], ordered[1:]
    tied = [row for row in rest if not differs(leader, row, claims)]
    return leader, tied, [row for row in rest if differs(leader, row, claims)]


def _tie(leader: Row, tied: Sequence[Row], claims: Claims) -> str:
    if all(relation(leader, row, claims) == "equivalent" for row in tied):
        return EQUIVALENT
    return UNCLEAR


def _names(rows: Sequence[Row]) -> str:
    return listed([named(row) for row in rows])


def _trailing(leader: Row, others: Sequence[Row], claims: Claims) -> str:
    if not others:
        return ""
    last = others[-1]
    ratio = times(last.point.latency / leader.point.latency)
    where = _elsewhere(leader, last)
    end = f"{latency(last)}{where}, {ratio} as long"
    if len(others) == 1:
        return f"; {named(last)} takes {end}"
    if not differs(others[0], last, claims):
        return f"; the others take {latency(others[0])} to {latency(last)}"
    second = f"{named(others[0])} is next with {latency(others[0])}"
    return f"; {second}, and {named(last)} is last with {end}"


def _elsewhere(leader: Row, row: Row) -> str:
    """The threads of a row if they differ from those of the leader."""
    same = row.cell.threads == leader.cell.threads
    return "" if same else f" on {on_threads(row.cell.threads)}"


def _gains_less(row: Row, best: Row, claims: Claims) -> bool:
    """True if a row is shown to gain less from its threads than another one."""
    lower = _speedup(row) < _speedup(best)
    return lower and gains_differ(_gain_of(best, claims), _gain_of(row, claims), claims)


def _gain_of(row: Row, claims: Claims) -> Contrast:
    base = _base_of(row)
    assert base is not None
    return claims.contrast(row.cell, base)


def _base_of(row: Row) -> Cell | None:
    if row.speedup is None:
        return None
    return msgspec.structs.replace(row.cell, threads=row.speedup.base)


def _speedup(row: Row) -> float:
    return row.speedup.value if row.speedup else 0.0


def _said_speedup(row: Row) -> str:
    mark = doubt(row.speedup.verdict) if row.speedup else ""
    return f"{times(_speedup(row))}{mark} on {on_threads(row.cell.threads)}"
