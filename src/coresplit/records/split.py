"""Splits of cores and a batch over instances, and their verifications."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from coresplit.records.interval import Interval
from coresplit.records.measurement import Published
from coresplit.records.variant import Mapping, Variant


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """``instances`` with the same threads and batch size each: <i, t, b>."""

    threads: int
    batch: int
    instances: int = 1

    def __str__(self) -> str:
        """Name it as the literature does: ``<4, 2, 8>``."""
        return f"<{self.instances}, {self.threads}, {self.batch}>"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A multiset of <i, t, b>; ``split_of`` makes one with equal pieces joined, in order."""

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
    """Return the split with these <threads, batch> instances, most threads first, then inputs."""
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
"""The planned split, one instance on all cores, or one-thread instances on each core."""


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One configuration that was run, and its prediction, if any.

    ``samples`` has one latency of the whole batch per round, in seconds: from the common start to
    the end of the last instance. The trials of a verification share their rounds. An imported
    configuration has no rounds but ``published``: what a table states of its slowest instance,
    not counting the ``missing`` ones, which it does not state.
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
    """A planned split that was run together with fat and thin, round by round.

    ``setting`` is that of the profile it was planned from. A configuration that is the same as
    an earlier one is left out; one that had no prediction is not run. Entries with the same
    ``at``, the Unix time it began, are rounds of one verification; for an imported one, which has
    no time, ``at`` is its place in the table.
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
        """The variant of its instances."""
        return Variant(self.optimization, self.mapping, self.allocator)
