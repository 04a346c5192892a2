"""What happened during a run, one line each, beside the measurements."""

import msgspec

from coresplit.records.cell import Cell, Mapping, Setting
from coresplit.records.split import Verification


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="started"):
    """A sweep began or was resumed; ``at`` is Unix time in seconds."""

    at: float


class Prepared(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="prepared"
):
    """An instance became ready. Durations in seconds.

    ``error`` is relative to eager outputs, over ``compared`` inputs; ``agreement`` is the share of
    them with the same top-1 class, None where the outputs name no or too few classes. ``facts``
    are what the library stated when it was read back, such as its precision and version.
    """

    at: float
    optimization: str
    threads: int
    mapping: Mapping = "sequential"
    allocator: str = "default"
    setting: Setting = "isolated"
    start_s: float
    prepare_s: float
    error: float
    agreement: float | None = None
    compared: int = 0
    largest_tensor: int
    facts: dict[str, str] = {}


class Peak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="peak"):
    """What the cores of an instance can do at most, measured on them.

    ``products`` maps a number type to the operations per second of a large matrix product;
    ``copy_bytes`` is the bytes per second read and written by a copy larger than the caches.
    """

    at: float
    threads: int
    mapping: Mapping = "sequential"
    products: dict[str, float]
    copy_bytes: float


class AnchorVisit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="anchor"
):
    """One repetition of the anchor cell: its raw samples in seconds.

    ``cell`` is None where it is the one of the settings.
    """

    at: float
    cell: Cell | None = None
    samples: tuple[float, ...]


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ended"):
    """A sweep ended: why, its wall time, and how much of it was timed or warm-up forwards."""

    at: float
    reason: str
    wall_s: float
    forward_s: float


JournalEntry = Started | Prepared | Peak | AnchorVisit | Verification | Ended
