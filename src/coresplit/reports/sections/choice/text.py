"""The text of a page on the best optimization for every <threads, batch>; pure."""

import math
from collections.abc import Sequence

from coresplit.analysis.ranking import (
    Best,
    Ranking,
    place_of_row,
    simplest,
)
from coresplit.analysis.rows import Row, ratio_of
from coresplit.analysis.view import RunView
from coresplit.format import listed, number, percent, times, times_exact
from coresplit.reports.document import Fact, Line, Table
from coresplit.reports.sections.cost import agreement_of
from coresplit.reports.wording import UNCLEAR, doubt, more_time
from coresplit.stats.lossy import unchecked_text

MOST_TIED = 3
"""Most rivals of a tie to name; the others are counted."""
BASE_NAMES = {"none": "eager"}


def tied_names(best: Best) -> list[str]:
    """Names of what is tied with the best.

    Other optimizations appear by name only, the optimization itself with its other allocators and
    mappings.
    """
    own = best.row.cell.optimization
    names = list(dict.fromkeys(row.cell.optimization for row in best.tied))
    placings = [
        row.cell.variant.placing or "defaults" for row in best.tied if row.cell.optimization == own
    ]
    others = [name for name in names if name != own]
    return others + ([f"{own} with {' or '.join(placings)}"] if placings else [])


def tied_text(best: Best) -> str:
    """``tied_names`` as a table shows them: ``onnxruntime``, ``a, b, c and 4 more``."""
    names = tied_names(best)
    more = len(names) - MOST_TIED
    return listed([*names[:MOST_TIED], f"{more} more"] if more > 0 else names) if names else ""


def finding_of(ranking: Ranking, view: RunView) -> str:
    """Which optimization is shown to be best, in how many places, and what it gains."""
    if _only_placings(ranking):
        return f"{ranking.wins[0][0]}: no allocator or mapping is shown to beat the default."
    winners = [(name, count) for name, count in ranking.wins if count]
    open_places = sum(not best.sole for best in ranking.best.values())
    if not winners:
        text = f"No {ranking.title} stands out at any of {len(ranking.best)} grid points: "
        return f"{text}{listed(_contenders(ranking))} are {UNCLEAR}{_unstated(ranking, view)}."
    name, count = winners[0]
    parts = [f"{name} is the {ranking.title} at {_places(ranking, count)}"]
    parts += [_gain(ranking, name, view)]
    parts += [_loss(name, view)] if ranking.kind == "lossy" else []
    text = ", ".join(part for part in parts if part)
    if others := winners[1:]:
        text += f", followed by {listed([f'{other} ({number})' for other, number in others[:3]])}"
    text += f"; {UNCLEAR} at {open_places}" if open_places else ""
    first = view.groups[0]
    odd = sum(best.row.cell.variant.placing != "" for best in ranking.best.values())
    if odd and (first.allocator, first.mapping) == ("default", "sequential"):
        text += f"; at {odd} with a non-default allocator or mapping"
    if guessed := sum(best.guessed for best in ranking.best.values()):
        text += f"; {guessed} of the grid points {'is' if guessed == 1 else 'are'} estimated"
    return f"{text}{_unstated(ranking, view)}."


def facts_of_choice(rankings: Sequence[Ranking], view: RunView) -> tuple[Fact, ...]:
    """The best lossless and the best lossy optimization as key facts, if there are any."""
    facts = []
    for ranking in rankings:
        if _only_placings(ranking):
            continue
        label = ranking.title.capitalize()
        name, count = max(ranking.wins, key=lambda win: win[1])
        if not count:
            names = _contenders(ranking)
            more = [f"{len(names) - MOST_TIED} more"] if len(names) > MOST_TIED else []
            note = f"between {listed([*names[:MOST_TIED], *more])}; {more_time(view)}"
            facts.append(Fact(label=label, value=UNCLEAR, note=note))
            continue
        lossy = ranking.kind == "lossy"
        where = _loss(name, view) if lossy else f"fastest at {_places(ranking, count)}"
        note = ", ".join(part for part in (_gain(ranking, name, view), where) if part)
        facts.append(Fact(label=label, value=name, note=note))
    return tuple(facts)


def _only_placings(ranking: Ranking) -> bool:
    """True for a single optimization of which no allocator or mapping is shown to be better."""
    names = {row.cell.optimization for row in ranking.rows}
    placings = {row.cell.variant.placing for row in ranking.rows}
    return len(names) == 1 < len(placings) and all(
        best.row.cell.variant.placing == "" for best in ranking.best.values()
    )


def _contenders(ranking: Ranking) -> list[str]:
    """Every optimization that leads somewhere or is tied with one that does."""
    rows = [row for best in ranking.best.values() for row in (best.row, *best.tied)]
    return list(dict.fromkeys(row.cell.optimization for row in rows))


def _unstated(ranking: Ranking, view: RunView) -> str:
    if ranking.kind != "any":
        return ""
    if unchecked := unchecked_text(view.run):
        return f". {unchecked[0].upper()}{unchecked[1:]}"
    return ". The run does not state which optimizations are lossy"


def choice_table(rankings: Sequence[Ranking], view: RunView) -> Table:
    """The best at every place with ties and intervals; a set of columns for each ranking."""
    head = ["threads", "batch"]
    for ranking in rankings:
        over = f"over {BASE_NAMES.get(view.base, view.base)}"
        head += [
            ranking.title.removesuffix(" choice"),
            "inferences/s",
            over,
            "interval",
            "tied with",
        ]
    places = sorted({place for ranking in rankings for place in ranking.best})
    lines = []
    for place in places:
        texts: list[str] = [str(number) for number in place]
        keys: list[str | float | None] = list(place)
        for ranking in rankings:
            more, values = _columns(ranking.best.get(place))
            texts += more
            keys += values
        lines.append(Line(texts=tuple(texts), keys=tuple(keys)))
    summary = f"The best choice at each of {len(places)} grid points <threads, batch>"
    return Table(summary=summary, head=tuple(head), lines=tuple(lines), sortable=True)


def _columns(best: Best | None) -> tuple[list[str], list[str | float | None]]:
    if best is None:
        return [""] * 5, [None] * 5
    name, gain = str(best.row.cell.variant), best.gain
    tied = tied_text(best)
    rate = best.row.throughput
    texts = [f"{name}{doubt(best.row.verdict)}", number(rate), "", "", tied]
    if gain:
        texts[2] = f"{'~' if gain.verdict == 'estimated' else ''}{times_exact(gain.value)}"
        if gain.low < gain.high:
            texts[3] = f"{times_exact(gain.low)} to {times_exact(gain.high)}"
    width = (gain.high - gain.low) / gain.value if gain else None
    return texts, [name, rate, gain.value if gain else None, width, tied]


def _gain(ranking: Ranking, name: str, view: RunView) -> str:
    """Geometric mean gain of an optimization over the baseline, over measured places if any."""
    if name == view.base and {row.cell.variant.placing for row in ranking.rows} <= {
        view.groups[0].rows[0].cell.variant.placing
    }:
        return ""
    base = {place_of_row(r): r for r in view.groups[0].rows if r.cell.optimization == view.base}
    tops: dict[tuple[int, int], Row] = {}
    for row in ranking.rows:
        place = place_of_row(row)
        if row.cell.optimization == name and place in base:
            # the variant with most defaults, unless another was shown to be better
            best = ranking.best[place].row
            own = best if best.cell.optimization == name else simplest([tops.get(place, row), row])
            tops[place] = own
    ratios = [ratio_of(row, base[place], view.claims) for place, row in tops.items()]
    firm = [ratio for ratio in ratios if ratio.verdict != "estimated"]
    if not ratios:
        return ""
    mean = math.exp(math.fsum(math.log(r.value) for r in firm or ratios) / len(firm or ratios))
    mark = "" if firm else ", estimated"
    over = BASE_NAMES.get(view.base, view.base)
    over += " with defaults" if name == view.base else ""
    return f"{times(mean)} {over} (geometric mean{mark})"


def _places(ranking: Ranking, count: int) -> str:
    total = len(ranking.best)
    return f"{count} of {total} {'grid point' if total == 1 else 'grid points'}"


def _loss(name: str, view: RunView) -> str:
    """How a lossy optimization changes results."""
    told = agreement_of(view.run, name)
    if told is None:
        return "with unknown accuracy"
    share, compared = told
    return f"same top-1 class as eager for {percent(share)} of {compared} inputs"
