"""The chosen instances, the reason and the rivals, as lines for the terminal."""

from collections.abc import Sequence

from coresplit.format import format_duration, listed, number, on_threads, percent
from coresplit.planner import Capacity, Speedup
from coresplit.records import Piece, Split
from coresplit.stats.difference import Relation


def said_of(
    run: str,
    found: Capacity,
    rivals: Sequence[tuple[Capacity, Speedup | None]],
) -> tuple[str, ...]:
    """Return three lines: the choice, the reason, and the comparison if there are rivals."""
    goal = (
        "the most throughput while a single request takes at most 10 % more than the fastest: "
        f"{number(found.throughput)} inputs/s"
    )
    return _lines(run, found, rivals, goal, "throughput")


def said_within(
    run: str,
    found: Capacity,
    rivals: Sequence[tuple[Capacity, Speedup | None]],
    *,
    slo_s: float,
    percentile: float,
    rate: float,
) -> tuple[str, ...]:
    """Return the same for instances that hold a latency; ``rate`` is in requests per second.

    A rival without a speedup holds no rate.
    """
    goal = (
        f"the highest rate with {percentile:g} % of requests answered within "
        f"{format_duration(slo_s)}: "
        f"{number(rate)} requests/s at random times"
    )
    return _lines(run, found, rivals, goal, "requests in time")


def _lines(
    run: str,
    found: Capacity,
    rivals: Sequence[tuple[Capacity, Speedup | None]],
    goal: str,
    what: str,
) -> tuple[str, ...]:
    lines = (
        f"serving {found.variant} as {_split(found.split)}",
        f"{goal}, {format_duration(found.first_s)} for one "
        f"(predicted from run {run}{_doubt(found, rivals)})",
    )
    if not rivals:
        return lines
    return *lines, f"compared: {listed([_against(found, *rival, what) for rival in rivals])}"


def _doubt(found: Capacity, rivals: Sequence[tuple[Capacity, Speedup | None]]) -> str:
    doubted = [found, *(rival for rival, _ in rivals)]
    if not any("unstable" in each.full.doubts for each in doubted):
        return ""
    return "; other programs ran at the same time, so measure again when the cores are free"


def _split(split: Split) -> str:
    return " + ".join(
        f"{_instances(piece)}, "
        f"{'one input at a time' if piece.batch == 1 else f'up to {piece.batch} inputs at once'}"
        for piece in split.pieces
    )


def _instances(piece: Piece) -> str:
    count = "1 instance" if piece.instances == 1 else f"{piece.instances} instances"
    return f"{count} of {on_threads(piece.threads)}"


def _against(found: Capacity, rival: Capacity, gain: Speedup | None, what: str) -> str:
    name = listed([_instances(piece) for piece in rival.split.pieces])
    if rival.variant != found.variant:
        name += f" of {rival.variant}"
    if gain is None:
        return f"{name} would hold no rate"
    share = percent(abs(gain.ratio - 1))
    said: dict[Relation, str] = {
        "faster": f"{share} more {what} than {name}",
        "slower": f"{share} less {what} than {name}, but faster for one request",
        "equivalent": f"the same {what} as {name}",
        "unclear": f"{what} too close to call against {name}",
    }
    return said[gain.relation]
