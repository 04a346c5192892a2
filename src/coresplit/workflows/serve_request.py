"""The request of what to serve."""

import re
from pathlib import Path

import msgspec

from coresplit.errors import UsageError
from coresplit.models import form_of
from coresplit.optimizations import OPTIMIZATIONS, usable
from coresplit.records import Variant
from coresplit.workflows.request import BenchRequest

DEFAULT_BUDGET_S = 120.0
_SPLIT = re.compile(r"(\d+)x(\d+)")


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve; None means the default.

    ``target`` is a model or a run folder. At most one of ``batch``, ``slo`` (seconds) and
    ``split`` is given. ``budget`` is in seconds, for a sweep if one is needed and ``measure``
    allows it.
    """

    target: str
    batch: int | None = None
    slo: float | None = None
    split: str | None = None
    optimization: str | None = None
    mapping: str | None = None
    allocator: str | None = None
    measure: bool = True
    budget: float = DEFAULT_BUDGET_S
    input: tuple[str, ...] = ()
    input_size: int | None = None
    length: int | None = None
    weights: str | None = None
    trust: bool = False
    seed: int | None = None
    runs: Path = Path("runs")

    @property
    def bench(self) -> BenchRequest:
        """The request for a sweep of the model."""
        return BenchRequest(
            model=self.target,
            input=self.input,
            input_size=self.input_size,
            length=self.length,
            weights=self.weights,
            trust=self.trust,
            seed=self.seed,
        )

    def allows(self, variant: Variant) -> bool:
        """True if a variant has the optimization, mapping and allocator that were asked for."""
        return all(
            wanted is None or getattr(variant, field) == wanted
            for field in ("optimization", "mapping", "allocator")
            for wanted in [getattr(self, field)]
        )


def parse_split(text: str) -> list[int]:
    """Return the threads of every instance in ``2x1`` or ``1x8+4x2``: instances times threads."""
    threads: list[int] = []
    for part in text.split("+"):
        match = _SPLIT.fullmatch(part.strip())
        if match is None or not int(match[1]) or not int(match[2]) or len(match[1]) > 4:
            raise UsageError(
                f"'{text}' is not a split; write INSTANCESxTHREADS, for example 2x1 or 1x8+4x2"
            )
        threads += [int(match[2])] * int(match[1])
    return threads


def quick_optimizations(model: str) -> tuple[str, ...]:
    """Return the lossless optimizations that are usable here and need no minutes of compiling."""
    form = form_of(model)
    return tuple(
        name
        for name, each in OPTIMIZATIONS.items()
        if form in each.takes
        and not each.lossy
        and each.makes != "compiled"
        and name not in ("trace", "channels_last", "mkldnn")
        and usable(name) is None
    )
