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
        f"the highest throughput within {format_duration(request.slo)} a batch"
        if request.slo is not None
        else "the highest throughput with a single request at most 10 % slower than the fastest"
    )
    lines = (
        f"serving {_split(found.split)} of {found.variant}",
        f"{goal}: {format_duration(found.first_s)} for one request, {number(found.throughput)}/s "
        f"in batches, predicted from run {run}",
    )
    if not rivals:
        return lines
    return *lines, listed([_against(found, *rival) for rival in rivals])


def _split(split: Split) -> str:
    return " + ".join(f"{_instances(piece)}, up to {piece.batch} at once" for piece in split.pieces)


def _instances(piece: Piece) -> str:
    threads = on_threads(piece.threads)
    return (
        f"1 instance on {threads}"
        if piece.instances == 1
        else f"{piece.instances} instances on {threads} each"
    )


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
