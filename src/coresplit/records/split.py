"""How cores and a batch are divided over instances, and the proof of such a division."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from coresplit.records.interval import Interval
from coresplit.records.measurement import Published
from coresplit.records.variant import Mapping, Variant


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """``instances`` of the same threads and batch size each: <i, t, b>."""

    threads: int
    batch: int
    instances: int = 1

    def __str__(self) -> str:
        """Name it as the literature does: ``<4, 2, 8>``."""
        return f"<{self.instances}, {self.threads}, {self.batch}>"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A multiset of <i, t, b>; ``split_of`` makes one whose equal pieces are joined, in order."""

    pieces: tuple[Piece, ...]

    @property
    def cores(self) -> int:
        """Cores that are used: the sum of i * t."""
        return sum(piece.instances * piece.threads for piece in self.pieces)

    @property
    def batch(self) -> int:
        """Inputs of all instances together: the sum of i * b."""
        return sum(piece.instances * piece.batch for piece in self.pieces)

    @property
    def count(self) -> int:
        """Number of instances."""
        return sum(piece.instances for piece in self.pieces)

    @property
    def cells(self) -> tuple[tuple[int, int], ...]:
        """<threads, batch> of every single instance, in order."""
        return tuple(
            (piece.threads, piece.batch) for piece in self.pieces for _ in range(piece.instances)
        )

    def __str__(self) -> str:
        """Name it piece by piece: ``<1, 4, 16> + <4, 1, 2>``."""
        return " + ".join(map(str, self.pieces))


def split_of(cells: Iterable[tuple[int, int]]) -> Split:
    """The split whose instances have these <threads, batch>: most threads, then inputs, first."""
    counts: dict[tuple[int, int], int] = {}
    for cell in sorted(cells, reverse=True):
        counts[cell] = counts.get(cell, 0) + 1
    return Split(
        pieces=tuple(
            Piece(threads=threads, batch=batch, instances=count)
            for (threads, batch), count in counts.items()
        )
    )


Configuration = Literal["split", "fat", "thin"]
"""The split that was planned, one instance on all cores, or one-thread instances on each."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One configuration that was run, and what had been predicted of it, if anything.

    ``samples`` has one latency of the whole batch a round, in seconds: from the common start to
    the end of the last instance. The rounds of the trials of a verification belong together. Of a
    configuration that was imported there are no rounds but ``published``: what a table states of
    its slowest instance, but for the ``missing`` ones that it does not state.
    """

    name: Configuration
    split: Split
    predicted: Interval | None = None
    samples: tuple[float, ...] = ()
    published: Published | None = None
    missing: int = 0

    @property
    def latencies(self) -> tuple[float, ...]:
        """Latencies of the whole batch in seconds: those of the rounds, or the published mean."""
        return self.samples if self.published is None else (self.published.mean,)


class Verification(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="verified"
):
    """A planned split that was run beside the fat and the thin one, round by round.

    ``setting`` is that of the profile it was planned from. A configuration that is the same as
    an earlier one is left out; one that had no prediction is not run. Entries with the same
    ``at``, the Unix time it began, are rounds of one verification; where it was imported, which
    states no time, ``at`` is its place in the table.
    """

    at: float
    optimization: str
    mapping: Mapping = "sequential"
    allocator: str = "default"
    setting: str
    cores: int
    batch: int
    trials: tuple[Trial, ...]

    @property
    def variant(self) -> Variant:
        """How its instances were made."""
        return Variant(self.optimization, self.mapping, self.allocator)
