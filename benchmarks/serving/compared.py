"""The results of a comparison and the differences that they show; pure functions."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec
from hdrh.histogram import HdrHistogram

from coresplit.stats.difference import Contrast, Relation, decide
from coresplit.stats.rounds import against

FEWEST_ROUNDS = 3
FEWEST_FOR_P99 = 100
Figure = Literal["throughput", "p50", "cpu", "memory"]
LoadName = Literal["light", "medium", "saturating"]

JUDGED: dict[LoadName, tuple[Figure, ...]] = {
    "light": ("p50", "cpu"),
    "medium": ("p50", "cpu"),
    "saturating": ("throughput", "p50", "cpu", "memory"),
}
"""Which figures are compared under which load; servers are ranked by the first one."""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One server under one load in one round.

    Times are in seconds, ``cpu`` and ``client_cpu`` per request; memory is in bytes, of the process
    tree after the load. ``histogram`` has the latencies, from when a request was due. The servers
    of a ``group`` were measured at the same time, and coresplit is in every group.
    """

    server: str
    group: int
    round: int
    load: LoadName
    answered: int
    errors: dict[str, int]
    throughput: float
    p50: float
    cpu: float
    client_cpu: float
    resident: int
    memory: int
    histogram: str
    limit: str = ""


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A server in one setting; ``options`` are those that it was started with."""

    label: str
    name: str
    setting: str
    options: str


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The loads, the same for every server: numbers of requests, or a rate and its seconds."""

    light_requests: int
    medium_rate: float
    medium_s: float
    saturating_requests: int


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All measurements with one model; ``own`` is the label of coresplit with its defaults.

    ``loads`` describes each load of ``plan`` in words, ``about`` the machine and the software.
    """

    model: str
    title: str
    created_at: float
    about: tuple[tuple[str, str], ...]
    plan: Plan
    loads: dict[LoadName, str]
    own: str
    servers: tuple[Server, ...]
    left_out: tuple[str, ...]
    turns: tuple[Turn, ...]

    @property
    def rounds(self) -> int:
        return len({turn.round for turn in self.turns})

    def groups(self) -> int:
        return len({turn.group for turn in self.turns})

    @property
    def limited(self) -> int:
        """Turns in which the client was the limit."""
        return sum(bool(turn.limit) for turn in self.turns)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as good coresplit is in one figure, with the 95 % interval."""

    ratio: float
    low: float
    high: float
    relation: Relation

    @property
    def named(self) -> bool:
        return self.relation in ("faster", "slower")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server under one load: medians over rounds, but the 99th percentile over all rounds.

    ``standings`` is empty for coresplit itself, and if there were too few rounds.
    """

    server: Server
    throughput: float
    p50: float
    p99: float | None
    cpu: float
    resident: float
    memory: float
    errors: int
    standings: dict[Figure, Standing]


def rows_of(comparison: Comparison) -> dict[LoadName, list[Row]]:
    """Return the servers of every load, the best first by the figure that they are ranked by."""
    standings = _standings(comparison)
    found: dict[LoadName, list[Row]] = {}
    for load in JUDGED:
        rows = []
        for server in comparison.servers:
            turns = _turns(comparison, server.label, load)
            if turns:
                own = standings.get((server.label, load), {})
                rows.append(_row(server, turns, own))
        first = JUDGED[load][0]
        rows.sort(key=lambda row: -row.throughput if first == "throughput" else row.p50)
        found[load] = rows
    return found


def together(first: Comparison, second: Comparison) -> Comparison:
    """Join a comparison with a later one of other servers under the same loads."""
    labels = {each.label for each in first.servers}
    said = dict(first.about)
    for label, text in second.about:
        said[label] = text if said.get(label, text) == text else f"{said[label]}; {text}"
    return msgspec.structs.replace(
        first,
        about=tuple(said.items()),
        servers=(*first.servers, *(each for each in second.servers if each.label not in labels)),
        left_out=(*first.left_out, *second.left_out),
        turns=(
            *first.turns,
            *(
                msgspec.structs.replace(turn, group=turn.group + first.groups())
                for turn in second.turns
            ),
        ),
    )


def _row(server: Server, turns: Sequence[Turn], standings: dict[Figure, Standing]) -> Row:
    def middle(name: str) -> float:
        values: list[float] = [getattr(turn, name) for turn in turns]
        return statistics.median(values)

    return Row(
        server=server,
        throughput=middle("throughput"),
        p50=middle("p50"),
        p99=_p99(turns),
        cpu=middle("cpu"),
        resident=middle("resident"),
        memory=middle("memory"),
        errors=sum(sum(turn.errors.values()) for turn in turns),
        standings=standings,
    )


def _p99(turns: Sequence[Turn]) -> float | None:
    """Return the 99th percentile of the requests of all rounds; None if there are too few."""
    if sum(turn.answered for turn in turns) < FEWEST_FOR_P99:
        return None
    found = _histogram(turns)
    # as elsewhere: 99 % of the requests do not exceed it; hdrh would round to the nearest
    count = found.get_total_count()
    return float(found.get_value_at_percentile(100 * math.ceil(0.99 * count) / count)) * 1e-6


def share_within(comparison: Comparison, label: str, load: LoadName, seconds: float) -> float:
    """Return the share of a server's answers under a load within ``seconds``, over all rounds."""
    turns = _turns(comparison, label, load)
    if not turns:
        return 0.0
    found = _histogram(turns)
    within = sum(
        step.count_added_in_this_iter_step
        for step in found.get_recorded_iterator()
        if step.value_iterated_to <= seconds * 1e6
    )
    return float(within / found.get_total_count())


def _histogram(turns: Sequence[Turn]) -> HdrHistogram:
    """Return the latencies of all turns, in microseconds."""
    first, *others = [HdrHistogram.decode(turn.histogram) for turn in turns]
    for each in others:
        first.add(each)
    return first


def _turns(comparison: Comparison, label: str, load: LoadName) -> list[Turn]:
    return [turn for turn in comparison.turns if turn.server == label and turn.load == load]


def _standings(comparison: Comparison) -> dict[tuple[str, LoadName], dict[Figure, Standing]]:
    """Compare coresplit with every other server, as one family of tests for the model."""
    found: dict[tuple[str, LoadName, Figure], Contrast] = {}
    for load, figures in JUDGED.items():
        for figure in figures:
            for label, contrast in _contrasts(comparison, load, figure).items():
                found[label, load, figure] = contrast
    standings: dict[tuple[str, LoadName], dict[Figure, Standing]] = {}
    relations = decide(list(found.values())) if found else []
    for ((label, load, figure), contrast), relation in zip(found.items(), relations, strict=True):
        low, high = contrast.bounds
        standings.setdefault((label, load), {})[figure] = Standing(
            ratio=contrast.ratio, low=low, high=high, relation=relation
        )
    return standings


def _contrasts(comparison: Comparison, load: LoadName, figure: Figure) -> dict[str, Contrast]:
    """Compare coresplit in one figure with each server that has enough rounds."""
    own = comparison.own
    groups = []
    for group in range(comparison.groups()):
        rounds = _rounds(comparison, load, figure, group)
        whole = set(rounds[0]).intersection(*rounds[1:]) if rounds else set()
        if len(rounds) >= FEWEST_ROUNDS and len(whole) > 1:
            groups.append([{name: each[name] for name in sorted(whole)} for each in rounds])
    return against(own, groups) if groups else {}


def _rounds(
    comparison: Comparison, load: LoadName, figure: Figure, group: int
) -> list[dict[str, float]]:
    """Return the log of a figure for every server, in each round that has coresplit.

    Throughput is negated, so that less is always better. Turns in which the client was the limit
    are left out.
    """
    found: dict[int, dict[str, float]] = {}
    for turn in comparison.turns:
        if (turn.load, turn.group, turn.limit) == (load, group, ""):
            sign = -1 if figure == "throughput" else 1
            found.setdefault(turn.round, {})[turn.server] = sign * math.log(getattr(turn, figure))
    return [each for each in found.values() if comparison.own in each]
