"""The messages between parent and child: JSON over a pipe."""

from typing import Literal

import msgspec

from coresplit.models import ModelSpec
from coresplit.records import Evidence, Inputs, Mapping, ModelInput, ModelOutput, Signs


class HandedOver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an instance spares others with the same model and optimization.

    ``folder`` is where they load the model from instead of preparing it; empty if that is
    impossible. ``batches`` have been run: that adds ``grown`` bytes to the memory of an instance
    for good, and ``peak`` bytes at most.
    """

    folder: str = ""
    batches: tuple[int, ...] = ()
    grown: int = 0
    peak: int = 0


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of an instance of a server.

    ``batches`` are the batches of its forwards, including 1. Those that no instance has run yet are
    run before it is ready. ``arena_size`` is the size of its arena in bytes. It is prepared only
    while no other process wants its cores, for up to ``quiet_s`` seconds and as long as it makes
    progress so. ``handover`` is what an instance with the same model and optimization reported.
    Raises ValueError if batches lack 1 or have one below it.
    """

    batches: tuple[int, ...]
    arena_size: int
    quiet_s: float = 0.0
    handover: HandedOver = HandedOver()

    def __post_init__(self) -> None:
        if 1 not in self.batches or min(self.batches) < 1:
            raise ValueError(f"batches {self.batches} must be above 0 and include 1")


class InstanceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of one instance.

    ``cpus`` has one logical CPU per thread, ``nodes`` the NUMA nodes its memory is bound to; empty
    if the machine has one node. While the model is prepared, its threads may run on the first CPUs
    of ``home``, as many as there are threads, so that instances which will share cores do not queue
    for them. If ``inputs`` is ``rotate``, no forward sees the input of the previous one. ``serve``
    is set for an instance of a server.
    """

    model: ModelSpec
    optimization: str
    cpus: tuple[int, ...]
    home: tuple[int, ...]
    nodes: tuple[int, ...] = ()
    mapping: Mapping = "sequential"
    allocator: str = "default"
    inputs: Inputs = "hot"
    serve: Serve | None = None

    @property
    def threads(self) -> int:
        """Intra-op threads, one pinned to each core."""
        return len(self.cpus)

    def __str__(self) -> str:
        """Return the name of the instance for messages."""
        extra = "" if self.allocator == "default" else f" {self.allocator}"
        return f"instance {self.optimization} t={self.threads}{extra}"


class Forwards(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="forwards"
):
    """Run up to ``count`` forwards of one batch, starting none after ``seconds``.

    ``warmup`` forwards run before them and are not counted; the seconds start at their end. The
    first counted forward starts at ``start_at`` on the monotonic clock, which all processes of a
    machine share; None starts it at once.
    """

    batch: int
    count: int
    seconds: float
    warmup: int = 0
    start_at: float | None = None


class FindPeak(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="find_peak"
):
    """Measure the peak speed of the instance's cores."""


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """JSON text of one complete input tensor, of which the rows from ``skip`` on are wanted.

    It has ``size`` bytes at ``offset`` in the arena: a list, flat or nested like the tensor.
    ``rows`` is how many rows it must have; None accepts any text with at least the wanted rows.
    """

    offset: int
    size: int
    skip: int = 0
    rows: int | None = None


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``count`` rows of one request within a forward.

    ``inputs`` has, for each input of the model, its JSON text or the offset in the arena of its
    first wanted row; the rows follow each other, little-endian and row-major. ``outputs`` has, for
    each output, the offset where its first row goes, in the same format.
    """

    count: int
    inputs: tuple[int | Text, ...]
    outputs: tuple[int, ...]


class Infer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="infer"):
    """Compute these rows together."""

    rows: tuple[Rows, ...]


Command = Forwards | FindPeak | Infer


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ready"):
    """The model is prepared. Settings are read back inside the child; memory is in bytes.

    ``memory`` is the peak since the start, ``resident`` the current memory of an instance of a
    server. ``nodes`` are the NUMA nodes that memory is bound to, None if unknown. ``error`` is the
    outputs' relative error against eager over ``compared`` inputs, ``agreement`` the share of them
    with the same top-1 class, if there are enough classes. ``facts`` are reported by the
    optimization's library. ``start_s`` is the time from the start of the process until the library
    is imported, ``prepare_s`` from there until ready. ``input_s`` is the seconds per input of a
    first forward of a small batch: a rough estimate before anything is measured. ``quietly`` says
    whether it was prepared in the background; ``scheduling`` has the policies of its threads after
    that, empty if it was not asked for. ``handover`` is what instances like it can build on.
    """

    threads: int
    interop_threads: int
    cpus: tuple[int, ...]
    nodes: tuple[int, ...] | None = None
    allocator: str
    start_s: float
    prepare_s: float
    input_s: float = 0.0
    quietly: bool = False
    scheduling: tuple[str, ...] = ()
    error: float
    agreement: float | None = None
    compared: int = 0
    facts: dict[str, str] = {}
    largest_tensor: int
    flops: int
    inputs: tuple[ModelInput, ...]
    parameters: int
    outputs: tuple[ModelOutput, ...] = ()
    weights: str
    memory: int
    resident: int = 0
    handover: HandedOver = HandedOver()


class Timed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="timed"):
    """Durations of single forwards in seconds, in order, and the counters around them.

    ``begun_at`` and ``ended_at`` are the start of the first and the end of the last forward on the
    monotonic clock. For instances that ran together, each duration is that of a round, and
    ``copies`` has those of every instance, round by round. ``warmup`` has the durations of the
    forwards run before; except for peak memory, the counters exclude them. ``signs`` show whether
    the forwards had their cores to themselves; None if that was not checked.
    """

    durations: tuple[float, ...]
    evidence: Evidence
    signs: Signs | None = None
    begun_at: float = 0.0
    ended_at: float = 0.0
    copies: tuple[tuple[float, ...], ...] = ()
    warmup: tuple[float, ...] = ()


class FoundPeak(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="found_peak"
):
    """Operations per second of a matrix product by number type; bytes per second of a copy."""

    matmul_flops: dict[str, float]
    memory_bandwidth: float


class Inferred(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="inferred"
):
    """The outputs are in the arena.

    ``compute_s`` is the duration of the forwards in seconds; ``started_at`` and ``ended_at`` are on
    the monotonic clock and include copying and decoding. ``refused`` has a text for each of the
    command's ``rows``: empty if they were computed, else the error in their JSON.
    """

    compute_s: float
    started_at: float
    ended_at: float
    refused: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="failure"):
    """The command failed inside the child.

    ``model`` is a wrong model or weights, or a missing library that the model needs; ``prepare`` is
    any other failure before ready. The child ends after these two, and continues after ``memory``
    and ``forward``.
    """

    kind: Literal["model", "prepare", "memory", "forward"]
    message: str
    remedy: str = ""
    option: str = ""


Reply = Ready | Timed | FoundPeak | Inferred | Failure
