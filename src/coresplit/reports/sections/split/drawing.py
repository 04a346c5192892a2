"""Draw splits: instances as blocks over the cores, one row per batch; pure."""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.splits import Choice
from coresplit.charts.heatmap import map_axes
from coresplit.charts.palette import INK, MUTED, PAPER, ordered_colours
from coresplit.charts.parts import (
    BOX,
    GROUND,
    given,
    inked,
    layer,
    note_layer,
    pixel,
    title_layer,
    tooltip,
    written,
)
from coresplit.charts.theme import HEIGHT, WIDTH, Spec, base
from coresplit.records import Split
from coresplit.reports.sections.split.text import JUDGEMENTS, instances, seconds, verdict

TALL = 13.0
"""Least height in pixels of a row whose blocks are labelled."""
TALLEST = 44.0
"""Most height in pixels of a block."""
LETTER = 5.9
"""Width in pixels of a letter of a label, on average."""
KEY_FROM = WIDTH + 18
ALARM = "#9a4d12"
"""Colour of the verdict of refuted splits."""


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """What to draw: the choice of each batch."""

    title: str
    description: str
    choices: tuple[Choice, ...]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the drawing: the edges of its blocks and the width of a core, in pixels."""

    top: float
    foot: float
    core: float

    @property
    def middle(self) -> float:
        """The vertical position of its labels."""
        return (self.top + self.foot) / 2


def drawing_spec(drawing: Drawing) -> Spec:
    """Blocks as wide as their threads, coloured by batch per instance; idle cores are dashed."""
    cores = drawing.choices[0].plan.cores
    rows = [choice.plan.batch for choice in drawing.choices]
    height = HEIGHT / len(rows)
    sizes = sorted({p.batch for c in drawing.choices for p in c.plan.recommended.split.pieces})
    colours = dict(zip(sizes, ordered_colours(len(sizes)), strict=True))
    blocks: list[Spec] = []
    labels: list[Spec] = []
    idle: list[Spec] = []
    for index, choice in enumerate(drawing.choices):
        middle, half = HEIGHT - height * (index + 0.5), min(0.4 * height, TALLEST / 2)
        place = Place(top=middle - half, foot=middle + half, core=WIDTH / cores)
        blocks += _blocks(choice, place, colours)
        if height >= TALL:
            labels += _labels(choice, place, colours)
        idle += _idle(choice.plan.recommended.split, cores, place, written=height >= TALL)
    layers = [GROUND, *_empty(idle), _filled(blocks), *_written(labels)]
    layers += _verdicts(drawing.choices, height)
    layers += [*_key(drawing.choices, colours), _note(drawing.choices), title_layer(drawing.title)]
    axes = map_axes(range(cores), rows)
    axes["x"]["axis"]["title"] = "core"
    axes["y"]["axis"]["title"] = "batch (inputs of all instances)"
    frame = {**base(drawing.description), "data": {"values": [{"t": 0, "b": b} for b in rows]}}
    return {**frame, "encoding": axes, "layer": layers}


def _blocks(choice: Choice, place: Place, colours: dict[int, str]) -> list[Spec]:
    """One block per instance, hollow if its latency is estimated."""
    plan, hollow = choice.plan, choice.hollow
    told = {
        "batch": plan.batch,
        "split": instances(plan.recommended.split),
        "said": seconds(plan.recommended.predicted),
        "verified": verdict(choice),
    }
    found, core = [], 0
    for threads, batch in plan.recommended.split.cells:
        gap = min(1.0, threads * place.core * 0.18)
        found.append(
            {
                **told,
                "each": f"{threads} of {plan.cores} cores, batch {batch}",
                "x0": round(core * place.core + gap, 2),
                "x1": round((core + threads) * place.core - gap, 2),
                "y0": round(place.top, 2),
                "y1": round(place.foot, 2),
                "fill": PAPER if hollow else colours[batch],
                "edge": colours[batch] if hollow else "transparent",
            }
        )
        core += threads
    return found


def _labels(choice: Choice, place: Place, colours: dict[int, str]) -> list[Spec]:
    """The batch in the block of each instance, or once over equal ones if blocks are narrow."""
    found, core = [], 0
    for piece in choice.plan.recommended.split.pieces:
        ground = PAPER if choice.hollow else colours[piece.batch]
        text = {"y": round(place.middle, 2), "ink": _ink(ground)}
        own, span = piece.threads * place.core, piece.threads * piece.instances * place.core
        left = core * place.core
        single = f"b={piece.batch}"
        joint = f"{piece.instances} × t={piece.threads} b={piece.batch}"
        if _width(single) <= own:
            for index in range(piece.instances):
                middle = left + (index + 0.5) * own
                found.append({**text, "x": round(middle, 2), "text": single})
        elif _width(joint) <= span:
            middle, half = left + span / 2, _width(joint) / 2
            # with its own background, since the gaps between blocks would cross the letters
            found.append(
                {
                    **text,
                    "ink": INK,
                    "x": round(middle, 2),
                    "text": joint,
                    "x0": middle - half,
                    "x1": middle + half,
                    "y0": place.middle - 7.5,
                    "y1": place.middle + 7.5,
                }
            )
        core += piece.threads * piece.instances
    return found


def _width(text: str) -> float:
    return len(text) * LETTER + 4


def _idle(split: Split, cores: int, place: Place, *, written: bool) -> list[Spec]:
    """The cores that a split leaves empty."""
    count = cores - split.cores
    if not count:
        return []
    x0, x1 = split.cores * place.core + 1.5, cores * place.core - 1.5
    fitting = (text for text in (f"{count} idle", "idle") if _width(text) <= x1 - x0)
    return [
        {
            "x0": x0,
            "x1": x1,
            "y0": place.top,
            "y1": place.foot,
            "x": (x0 + x1) / 2,
            "y": place.middle,
            "text": next(fitting, "") if written else "",
        }
    ]


def _ink(ground: str) -> str:
    """A readable text colour on a ground: white below 0.22 relative luminance (WCAG 2.1)."""
    channels = (int(ground[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (channel**2.2 for channel in channels)
    return PAPER if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.22 else INK


def _empty(idle: list[Spec]) -> list[Spec]:
    mark = {"type": "rect", "fill": PAPER, "stroke": "#9aa5b1", "strokeDash": [3, 3]}
    place = {"x": pixel("x"), "y": pixel("y"), "text": {"field": "text"}}
    return [
        layer(idle, {**mark, "aria": False}, BOX),
        layer(idle, {**_text(10), "color": MUTED}, place),
    ]


def _filled(blocks: list[Spec]) -> Spec:
    titles = {
        "batch": "batch",
        "split": "run",
        "each": "this instance",
        "said": "predicted latency",
        "verified": "verified",
    }
    return {
        "data": {"values": blocks},
        "mark": {"type": "rect", "strokeWidth": 1, "aria": False},
        "encoding": {
            **BOX,
            "fill": given("fill"),
            "stroke": given("edge"),
            "tooltip": tooltip(titles.items()),
        },
    }


def _written(labels: list[Spec]) -> list[Spec]:
    grounds = [label for label in labels if "x1" in label]
    place = {"x": pixel("x"), "y": pixel("y")}
    return [
        layer(grounds, {"type": "rect", "fill": PAPER, "cornerRadius": 3, "aria": False}, BOX),
        layer(labels, _text(10.5), {**place, **inked("text")}),
    ]


def _text(size: float) -> Spec:
    plain = {"type": "text", "baseline": "middle", "aria": False, "tooltip": False}
    return {**plain, "align": "center", "fontSize": size}


def _verdicts(choices: Sequence[Choice], height: float) -> list[Spec]:
    """The verdict of each verified split at the end of its row."""
    entries = [
        {
            "text": JUDGEMENTS[choice.outcome.verdict],
            "y": HEIGHT - height * (index + 0.5),
            "ink": ALARM if choice.beaten_by else MUTED,
        }
        for index, choice in enumerate(choices)
        if choice.outcome
    ]
    mark = {**_text(min(10.5, height)), "align": "left"}
    place = {"x": {"value": WIDTH + 6}, "y": pixel("y")}
    return [layer(entries, mark, {**place, **inked("text")})]


def _key(choices: Sequence[Choice], colours: dict[int, str]) -> list[Spec]:
    """The key: batches per instance with their colours, the largest on top as in the rows."""
    sizes = sorted(colours, reverse=True)
    left = KEY_FROM + (62 if any(choice.outcome for choice in choices) else 0)
    step = min(19.0, (HEIGHT - 24) / len(sizes))
    entries = [
        {"name": f"{size}", "edge": colours[size], "y": 18 + step * index}
        for index, size in enumerate(sizes)
    ]
    y, colour, name = {"y": pixel("y")}, {"fill": given("edge")}, {"text": {"field": "name"}}
    square = {"type": "square", "size": min(110, step * step), "opacity": 1, "aria": False}
    text = {"type": "text", "baseline": "middle", "align": "left", "aria": False}
    named = {**text, "fontSize": min(12, step), "color": INK}
    heading = {**text, "fontSize": 11.5, "color": MUTED}
    return [
        layer(entries, square, {"x": {"value": left + 6}, **y, **colour}),
        layer(entries, named, {"x": {"value": left + 19}, **y, **name}),
        written("b: instance batch", heading, left, -3),
    ]


def _note(choices: Sequence[Choice]) -> Spec:
    idle = any(c.plan.recommended.split.cores < c.plan.cores for c in choices)
    notes = ["dashed: idle cores"] if idle else []
    notes += ["white: predicted from estimated cells"] if any(c.hollow for c in choices) else []
    return note_layer(notes)
