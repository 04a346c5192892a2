"""One sentence for every chart, computed from its rows; pure.

No difference within the noise floor is named, and a value that was estimated, light or unstable
says so. Every function takes at least one row and returns one sentence that ends in a full stop.
"""

import statistics
from collections.abc import Sequence

from coresplit.report.contrast import (
    Floor,
    busiest,
    by_optimization,
    gain_limit,
    knee,
    quickest,
    relation,
)
from coresplit.report.table import Row
from coresplit.report.wording import (
    doubt,
    latency,
    listed,
    named,
    on_threads,
    percent,
    some_cells,
    throughput,
    times,
)


def latency_at_batch(rows: Sequence[Row], floor: Floor) -> str:
    """Which optimization is fastest at one batch, and by how much the others trail it."""
    head = f"Batch {rows[0].cell.batch}: "
    best = {name: quickest(members) for name, members in by_optimization(rows).items()}
    if len(best) == 1:
        return f"{head}{rows[0].cell.optimization} {_fall(rows, floor)}."
    leader, tied, others = _ranking(list(best.values()), floor)
    where = f"{latency(leader)} on {on_threads(leader.cell.threads)}"
    if tied:
        start = f"{_names([leader, *tied])} are {_tie(leader, tied, floor)} at {where}"
    else:
        start = f"{named(leader)} is fastest, {where}"
    return f"{head}{start}{_trailing(leader, others)}."


def throughput_at_batch(rows: Sequence[Row], floor: Floor) -> str:
    """Which optimization yields most at one batch, and where its threads stop to bring more."""
    head = f"Batch {rows[0].cell.batch}: "
    members = by_optimization(rows)
    best = [busiest(listed_rows) for listed_rows in members.values()]
    leader, tied, others = _ranking(best, floor)
    where = f"{throughput(leader)} on {on_threads(leader.cell.threads)}"
    if tied:
        start = f"{_names([leader, *tied])} are {_tie(leader, tied, floor)} at {where}"
    else:
        start = f"{named(leader)} reaches {where}"
    if others and not tied:
        second = others[0]
        ratio = times(leader.throughput / second.throughput)
        rival = f"{named(second)}{doubt(second.verdict)}"
        start += f", {ratio} {rival}{_elsewhere(leader, second)}"
    return f"{head}{start}{_beyond(members[leader.cell.optimization], floor)}."


def latency_of_optimization(rows: Sequence[Row], floor: Floor) -> str:
    """What threads do to the latency of the smallest and the largest batch."""
    batches = sorted({row.cell.batch for row in rows})
    ends = batches[:1] if len(batches) == 1 else [batches[0], batches[-1]]
    parts = [
        f"batch {batch} {_fall([row for row in rows if row.cell.batch == batch], floor)}"
        for batch in ends
    ]
    return f"{rows[0].cell.optimization}: {'; '.join(parts)}."


def throughput_of_optimization(rows: Sequence[Row], floor: Floor) -> str:
    """The highest throughput, and the smallest batch that is tied with it."""
    top = busiest(rows)
    start = (
        f"{top.cell.optimization}: {throughput(top)} at most, at batch {top.cell.batch} "
        f"on {on_threads(top.cell.threads)}"
    )
    batches = sorted({row.cell.batch for row in rows})
    for batch in batches:
        best = busiest(row for row in rows if row.cell.batch == batch)
        if batch < top.cell.batch and relation(best, top, floor) == "tied":
            return f"{start}; batch {batch}{doubt(best.verdict)} is tied with it within {floor}."
    first = busiest(row for row in rows if row.cell.batch == batches[0])
    if batches[0] < top.cell.batch and relation(first, top, floor) == "differs":
        return f"{start}; batch {batches[0]} reaches {throughput(first)}."
    return f"{start}."


def speedup_of_optimization(rows: Sequence[Row], floor: Floor) -> str:
    """How far the best batch scales, and how far the worst; estimates only where all are."""
    name = rows[0].cell.optimization
    firm = [row for row in rows if row.speedup and row.speedup.verdict != "estimated"]
    measured = [row for row in firm if row.speedup and row.speedup.base < row.cell.threads]
    curves: dict[int, list[Row]] = {}
    for row in firm if measured else rows:
        curves.setdefault(row.cell.batch, []).append(row)
    peaks = [max(curve, key=_speedup) for curve in curves.values()]
    peaks.sort(key=lambda row: (-_speedup(row), row.cell.batch))
    best, least = peaks[0], peaks[-1]
    if _speedup(best) <= 1 + floor.share:
        return f"{name}: no batch gains from more threads beyond {floor}."
    start = f"Batch {best.cell.batch}: {name} scales to {_said_speedup(best)}"
    if best is least:
        return f"{start}{_beyond(curves[best.cell.batch], floor)}."
    if _speedup(best) / _speedup(least) <= 1 + floor.share:
        every = f", every other batch is tied with it within {floor}"
        return f"{start}{every}{_beyond(curves[best.cell.batch], floor)}."
    stop = f"; batch {least.cell.batch} only to {_said_speedup(least)}"
    point = knee(curves[least.cell.batch], floor)
    if point is None:
        return f"{start}{stop}."
    limit = percent(gain_limit(floor))
    return f"{start}{stop}, where beyond {point} each added thread gains under {limit}."


def throughput_over_batch(rows: Sequence[Row], floor: Floor) -> str:
    """Which batch yields most on the most threads, and what larger ones lose."""
    threads = max(row.cell.threads for row in rows)
    line = sorted((r for r in rows if r.cell.threads == threads), key=lambda r: r.cell.batch)
    name, top = line[0].cell.optimization, busiest(line)
    head = f"{name} on {on_threads(threads)}: "
    if len(line) == 1:
        return f"{head}{throughput(top)} at batch {top.cell.batch}."
    if all(relation(row, top, floor) == "tied" for row in line):
        return f"{head}every batch is tied within {floor} at {throughput(top)}."
    tied = [row.cell.batch for row in line if relation(row, top, floor) == "tied"]
    start = f"{head}{throughput(top)} at batch {top.cell.batch} is the peak"
    if tied[0] != top.cell.batch:
        start += f", which batch {tied[0]} already ties within {floor}"
    last = line[-1]
    if last is top or relation(last, top, floor) != "differs":
        return f"{start}."
    lost = percent(1 - last.throughput / top.throughput)
    return f"{start}; batch {last.cell.batch}{doubt(last.verdict)} yields {lost} less."


def throughput_map(rows: Sequence[Row], floor: Floor) -> str:
    """How much of the grid comes close to the best cell, and with how few threads."""
    top = busiest(rows)
    near = [row for row in rows if row.throughput >= 0.9 * top.throughput]
    fewest = min(row.cell.threads for row in near)
    spread = f"; they use {on_threads(fewest)} or more" if fewest < top.cell.threads else ""
    return (
        f"{top.cell.optimization}: {len(near)} of {some_cells(len(rows))} come within 10 % of "
        f"the best, {throughput(top)}{spread}."
    )


def gain_map(pairs: Sequence[tuple[Row, Row]], floor: Floor) -> str:
    """In how many cells an optimization (first of each pair) beats the other one."""
    name, other = named(pairs[0][0]), named(pairs[0][1])
    kinds = [relation(row, rival, floor) for row, rival in pairs]
    apart = [
        row.throughput / rival.throughput
        for (row, rival), kind in zip(pairs, kinds, strict=True)
        if kind == "differs"
    ]
    faster = [ratio for ratio in apart if ratio > 1]
    parts = [f"{name} is faster than {other} in {len(faster)} of {some_cells(len(pairs))}"]
    if faster:
        parts[0] += f", {times(statistics.median(faster))} in the median"
    for count, text in (
        (len(apart) - len(faster), "slower in {}"),
        (kinds.count("tied"), f"tied within {floor} in {{}}"),
        (kinds.count("overlap"), "not told apart by their intervals in {}"),
    ):
        if count:
            parts.append(text.format(count))
    guessed = sum("estimated" in (row.verdict, rival.verdict) for row, rival in pairs)
    note = f" ({guessed} estimated)" if guessed else ""
    return f"{'; '.join(parts)}{note}."


def _fall(rows: Sequence[Row], floor: Floor) -> str:
    first, best = min(rows, key=lambda row: row.cell.threads), quickest(rows)
    start = f"takes {latency(first)} on {on_threads(first.cell.threads)}"
    if len({row.cell.threads for row in rows}) == 1:
        return start
    kind = "tied" if best is first else relation(best, first, floor)
    if kind == "tied":
        return f"{start}, and more threads gain nothing beyond {floor}"
    if kind == "overlap":
        return f"{start}, and more threads are not shown to be faster: their intervals overlap"
    ratio = times(first.point.latency / best.point.latency)
    return f"{start} and {latency(best)} on {best.cell.threads}, {ratio} faster"


def _beyond(rows: Sequence[Row], floor: Floor) -> str:
    point = knee(rows, floor)
    if point is None:
        return ""
    return f"; beyond {point} each added thread gains under {percent(gain_limit(floor))}"


def _ranking(best: Sequence[Row], floor: Floor) -> tuple[Row, list[Row], list[Row]]:
    """The leader, those not told apart from it, and the others, each best first."""
    ordered = sorted(best, key=lambda row: (-row.throughput, row.cell.optimization))
    leader = ordered[0]
    kinds = {id(row): relation(leader, row, floor) for row in ordered[1:]}
    tied = [row for row in ordered[1:] if kinds[id(row)] != "differs"]
    return leader, tied, [row for row in ordered[1:] if kinds[id(row)] == "differs"]


def _tie(leader: Row, tied: Sequence[Row], floor: Floor) -> str:
    if all(relation(leader, row, floor) == "tied" for row in tied):
        return f"tied within {floor}"
    return "not told apart (their intervals overlap)"


def _names(rows: Sequence[Row]) -> str:
    return listed([named(row) for row in rows])


def _trailing(leader: Row, others: Sequence[Row]) -> str:
    if not others:
        return ""
    last = others[-1]
    ratio = times(last.point.latency / leader.point.latency)
    where = _elsewhere(leader, last)
    end = f"{named(last)} needs {latency(last)}{where}, {ratio} as long"
    if len(others) == 1:
        return f"; {end}"
    return f"; next is {named(others[0])} with {latency(others[0])}, last {end}"


def _elsewhere(leader: Row, row: Row) -> str:
    """The threads of a row where they differ from those of the leader."""
    same = row.cell.threads == leader.cell.threads
    return "" if same else f" on {on_threads(row.cell.threads)}"


def _speedup(row: Row) -> float:
    return row.speedup.value if row.speedup else 0.0


def _said_speedup(row: Row) -> str:
    mark = doubt(row.speedup.verdict) if row.speedup else ""
    return f"{times(_speedup(row))}{mark} on {on_threads(row.cell.threads)}"
