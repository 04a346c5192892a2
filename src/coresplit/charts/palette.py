"""Colours: a perceptual scale for ordered series, a colour-blind-safe set for optimizations."""

from collections.abc import Sequence

INK = "#1f2933"
MUTED = "#6b7785"
GRID = "#e6e9ee"
PAPER = "#ffffff"

_VIRIDIS = (
    "#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e",
    "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725",
)  # fmt: skip
_ORDERED_END = 0.76
"""Where viridis is cut: lines of its yellow end are too faint on white."""

_BASELINE = "#5a6470"
_OKABE_ITO = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#332288", "#882255", "#999933", "#000000", "#B8A800", "#44AA99",
)  # fmt: skip


def ordered_colours(count: int) -> tuple[str, ...]:
    """Colours of ``count`` ordered series, dark to light, at even steps (viridis, cut short).

    Van der Walt & Smith, "A Better Default Colormap for Matplotlib", SciPy 2015.
    """
    if count == 1:
        return (viridis(0.3),)
    return tuple(viridis(_ORDERED_END * index / (count - 1)) for index in range(count))


def viridis(share: float) -> str:
    """The colour at ``share`` of the way (0 to 1) through viridis, as ``#rrggbb``."""
    place = min(max(share, 0.0), 1.0) * (len(_VIRIDIS) - 1)
    index = min(int(place), len(_VIRIDIS) - 2)
    first, second = _VIRIDIS[index], _VIRIDIS[index + 1]
    mixed = (
        round(a + (b - a) * (place - index))
        for a, b in zip(_channels(first), _channels(second), strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def optimization_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every optimization, the same in every figure; ``none`` is grey.

    The first six are Okabe and Ito's ("Color Universal Design", 2008) without the yellow, which
    is too faint for lines; the rest are from Tol's muted scheme. After twelve, colours repeat.
    """
    others = [name for name in names if name != "none"]
    chosen = {name: _OKABE_ITO[i % len(_OKABE_ITO)] for i, name in enumerate(others)}
    if "none" in names:
        chosen["none"] = _BASELINE
    return chosen


def as_text(colour: str) -> str:
    """A darker shade of a line's colour for text, which needs more contrast than lines."""
    return "#" + "".join(f"{round(channel * 0.72):02x}" for channel in _channels(colour))


def tint(colour: str, share: float) -> str:
    """A colour mixed with white, as a background for text; ``share`` of the colour is left."""
    return "#" + "".join(f"{round(255 - (255 - c) * share):02x}" for c in _channels(colour))


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
