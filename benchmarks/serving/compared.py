"""What a comparison has measured, and what that shows; pure."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec
from hdrh.histogram import HdrHistogram

from coresplit.stats.difference import Contrast, Relation, decide, of_rounds

FEWEST_ROUNDS = 3
FEWEST_FOR_P99 = 100
Figure = Literal["throughput", "p50", "cpu", "memory"]
LoadName = Literal["light", "medium", "saturating"]

JUDGED: dict[LoadName, tuple[Figure, ...]] = {
    "light": ("p50", "cpu"),
    "medium": ("p50", "cpu"),
    "saturating": ("throughput", "p50", "cpu", "memory"),
}
"""Which figures are compared under which load; the first is what servers are ranked by."""


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One server under one load in one round.

    Seconds, of each request where it is ``cpu`` and ``client_cpu``; bytes of the process tree after
    the load. ``histogram`` has the latencies, from when a request was due. A ``group`` of servers
    is there at the same time, and coresplit is in each.
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
    """A server in one setting; ``options`` are what it was started with."""

    label: str
    name: str
    setting: str
    options: str


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same loads for every server: so many requests, or a rate for so many seconds."""

    light_requests: int
    medium_rate: float
    medium_s: float
    saturating_requests: int


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that was measured with one model; ``own`` is the label of coresplit as it is by default.

    ``loads`` says in words what each load of ``plan`` was, ``about`` what was measured on what.
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


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as good coresplit is in one figure, with its 95 % interval."""

    ratio: float
    low: float
    high: float
    relation: Relation

    @property
    def named(self) -> bool:
        return self.relation in ("faster", "slower")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One server under one load: medians over rounds, but the 99th percentile of all rounds.

    ``standings`` is empty for coresplit itself, and where there were too few rounds.
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
    """Every load with its servers, the best first by the figure that they are ranked by."""
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
    """What was measured of some servers and, later, of others under the same loads."""
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
    """The 99th percentile of all requests of all rounds; None of too few."""
    if sum(turn.answered for turn in turns) < FEWEST_FOR_P99:
        return None
    first, *others = [HdrHistogram.decode(turn.histogram) for turn in turns]
    for each in others:
        first.add(each)
    return float(first.get_value_at_percentile(99.0)) * 1e-6


def _turns(comparison: Comparison, label: str, load: LoadName) -> list[Turn]:
    return [turn for turn in comparison.turns if turn.server == label and turn.load == load]


def _standings(comparison: Comparison) -> dict[tuple[str, LoadName], dict[Figure, Standing]]:
    """All that can be said of coresplit and every other; one family of tests for the model."""
    keys: list[tuple[str, LoadName, Figure]] = []
    contrasts: list[Contrast] = []
    for server in comparison.servers:
        if server.label == comparison.own:
            continue
        for load, figures in JUDGED.items():
            pairs = _pairs(comparison, server.label, load)
            if len(pairs) < FEWEST_ROUNDS:
                continue
            for figure in figures:
                keys.append((server.label, load, figure))
                contrasts.append(of_rounds([_log(mine, theirs, figure) for mine, theirs in pairs]))
    found: dict[tuple[str, LoadName], dict[Figure, Standing]] = {}
    for (label, load, figure), contrast, relation in zip(
        keys, contrasts, decide(contrasts) if contrasts else [], strict=True
    ):
        low, high = contrast.bounds
        found.setdefault((label, load), {})[figure] = Standing(
            ratio=contrast.ratio, low=low, high=high, relation=relation
        )
    return found


def _pairs(comparison: Comparison, label: str, load: LoadName) -> list[tuple[Turn, Turn]]:
    """Turns of coresplit and of another within the same round, none of which the client limited."""
    own = {(turn.group, turn.round): turn for turn in _turns(comparison, comparison.own, load)}
    found = []
    for turn in _turns(comparison, label, load):
        mine = own.get((turn.group, turn.round))
        if mine is not None and not (mine.limit or turn.limit):
            found.append((mine, turn))
    return found


def _log(mine: Turn, theirs: Turn, figure: Figure) -> float:
    """The log of how many times as good the first is: more throughput, less of all else."""
    sign = 1 if figure == "throughput" else -1
    return sign * math.log(getattr(mine, figure) / getattr(theirs, figure))
