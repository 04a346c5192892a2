"""What happened during a run, one line each, beside the measurements."""

import msgspec


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="started"):
    """A sweep began or was resumed; ``at`` is Unix time in seconds."""

    at: float


class Prepared(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="prepared"
):
    """An instance became ready. Durations in seconds, ``error`` relative to eager outputs."""

    at: float
    optimization: str
    threads: int
    start_s: float
    prepare_s: float
    error: float
    largest_tensor: int


class AnchorVisit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="anchor"
):
    """One repetition of the anchor cell: its raw samples in seconds."""

    at: float
    samples: tuple[float, ...]


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ended"):
    """A sweep ended: why, its wall time, and how much of it was timed or warm-up forwards."""

    at: float
    reason: str
    wall_s: float
    forward_s: float


JournalEntry = Started | Prepared | AnchorVisit | Ended
