"""What was chosen to serve with, why, and what it beats, for the terminal."""

from collections.abc import Sequence

from coresplit.format import format_duration, listed, number, on_threads, percent
from coresplit.planner import Capacity, Speedup
from coresplit.records import Piece, Split
from coresplit.stats.difference import Relation
from coresplit.workflows.serve_request import ServeRequest


def said_of(
    run: str,
    found: Capacity,
    rivals: Sequence[tuple[Capacity, Speedup]],
    request: ServeRequest,
) -> tuple[str, ...]:
    """Three lines: what was chosen, why, and how it compares; the last one only with rivals."""
    goal = (
        f"the most throughput with every batch within {format_duration(request.slo)}"
        if request.slo is not None
        else "the most throughput while a single request takes at most 10 % more than the fastest"
    )
    lines = (
        f"serving {found.variant} as {_split(found.split)}",
        f"{goal}: {number(found.throughput)} inputs/s, {format_duration(found.first_s)} for one "
        f"(predicted from run {run}{_doubt(found, rivals)})",
    )
    if not rivals:
        return lines
    return *lines, f"compared: {listed([_against(found, *rival) for rival in rivals])}"


def _doubt(found: Capacity, rivals: Sequence[tuple[Capacity, Speedup]]) -> str:
    doubted = [found, *(rival for rival, _ in rivals)]
    if not any("unstable" in each.full.doubts for each in doubted):
        return ""
    return "; it was measured beside other programs, so measure again when the cores are free"


def _split(split: Split) -> str:
    return " + ".join(
        f"{_instances(piece)}, "
        f"{'one input at a time' if piece.batch == 1 else f'up to {piece.batch} inputs at once'}"
        for piece in split.pieces
    )


def _instances(piece: Piece) -> str:
    count = "1 instance" if piece.instances == 1 else f"{piece.instances} instances"
    return f"{count} of {on_threads(piece.threads)}"


def _against(found: Capacity, rival: Capacity, gain: Speedup) -> str:
    name = listed([_instances(piece) for piece in rival.split.pieces])
    if rival.variant != found.variant:
        name += f" of {rival.variant}"
    share = percent(abs(gain.ratio - 1))
    said: dict[Relation, str] = {
        "faster": f"{share} more throughput than {name}",
        "slower": f"{share} less throughput than {name}, but faster for one request",
        "equivalent": f"the same throughput as {name}",
        "unclear": f"throughput too close to call against {name}",
    }
    return said[gain.relation]
