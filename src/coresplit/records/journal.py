"""The events of a run besides the measurements, one line each."""

from typing import Literal

import msgspec

from coresplit.records.cell import Cell, Setting
from coresplit.records.split import Verification
from coresplit.records.variant import Mapping

Cause = Literal["process", "sibling", "disk", "clock"]
"""What can disturb a visit."""
UNCHECKED = "outputs not checked"
"""The fact of an instance whose outputs could not be compared with eager; its value says why."""


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="started"):
    """A sweep began or was resumed; ``at`` is Unix time in seconds."""

    at: float


class Prepared(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="prepared"
):
    """An instance became ready. Durations in seconds.

    ``error`` is relative to eager outputs, over ``compared`` inputs; ``agreement`` is the share of
    them with the same top-1 class, None if the outputs name no or too few classes. ``facts``
    are read back from the library, such as its precision and version. If ``UNCHECKED`` is among
    them, nothing was compared and ``error`` means nothing.
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
    """The peak performance of the cores of an instance, measured on them.

    ``matmul_flops`` maps a number type to the operations per second of a large matrix product;
    ``memory_bandwidth`` is the bytes per second read and written by a copy larger than the caches.
    """

    at: float
    threads: int
    mapping: Mapping = "sequential"
    matmul_flops: dict[str, float] = msgspec.field(name="products")
    memory_bandwidth: float = msgspec.field(name="copy_bytes")


class AnchorVisit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="anchor"
):
    """One repetition of the anchor cell: its raw samples in seconds.

    ``cell`` is None if it is the anchor of the settings.
    """

    at: float
    cell: Cell | None = None
    samples: tuple[float, ...]


class Disturbed(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="disturbed"
):
    """A visit that did not have its cores to itself, and was left out or repeated.

    ``cell`` is None for a round of a verification. ``cpu`` is the logical CPU concerned and
    ``share`` the share of the time of the visit that was lost there; for a clock, how far it was
    off. ``reason`` says it in words, and ``by`` names the process that used those cores most, if it
    could be found.
    """

    at: float
    cell: Cell | None = None
    cause: Cause
    cpu: int | None = None
    share: float = 0.0
    reason: str
    by: str = ""


class Ended(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ended"):
    """A sweep ended: why, its wall time, and how much of it was timed or warm-up forwards."""

    at: float
    reason: str
    wall_s: float
    forward_s: float


JournalEntry = Started | Prepared | Peak | AnchorVisit | Disturbed | Verification | Ended
