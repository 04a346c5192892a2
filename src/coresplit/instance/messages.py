"""What parent and child say to each other, as JSON over a pipe."""

from typing import Literal

import msgspec

from coresplit.models import ModelSpec
from coresplit.records import Evidence, Inputs, Mapping, ModelInput, ModelOutput, Signs


class Serve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an instance of a server needs to know.

    ``batches`` are those of its forwards, 1 among them; each is run before it is ready.
    ``arena_size`` is that of the arena it is given, in bytes. For ``quiet_s`` seconds at most it
    is prepared only while nobody else wants its cores. ``handover`` is what an instance with the
    same model and optimization has told, empty without one. Raises ValueError for batches that are
    none.
    """

    batches: tuple[int, ...]
    arena_size: int
    quiet_s: float = 0.0
    handover: str = ""

    def __post_init__(self) -> None:
        if 1 not in self.batches or min(self.batches) < 1:
            raise ValueError(f"batches {self.batches} must be above 0, and 1 one of them")


class InstanceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that makes one instance differ from another.

    ``cpus`` has one logical CPU per thread, ``nodes`` the NUMA nodes its memory is bound to, none
    where the machine has one. While the model is prepared the threads may run on the first of
    ``home``, as many as there are threads, so that instances which will share their cores do not
    queue for them. With ``inputs`` rotate no forward sees the input of the one before. ``serve``
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
        """Name the instance as messages do."""
        extra = "" if self.allocator == "default" else f" {self.allocator}"
        return f"instance {self.optimization} t={self.threads}{extra}"


class Forwards(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="forwards"
):
    """Run up to ``count`` forwards of one batch, starting none after ``seconds``.

    ``warmup`` forwards come before them and are no data; the seconds count from their end. The
    first that counts starts at ``start_at`` on the monotonic clock, which all processes of a
    machine share; None for at once.
    """

    batch: int
    count: int
    seconds: float
    warmup: int = 0
    start_at: float | None = None


class FindPeak(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="find_peak"
):
    """Measure what the cores of the instance can do at most."""


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """JSON text of one whole input tensor, of which rows from ``skip`` on are wanted.

    It is ``size`` bytes at ``offset`` in the arena: a list, flat or nested as the tensor is.
    ``rows`` is how many rows it must have; None asks for those that are wanted at least.
    """

    offset: int
    size: int
    skip: int = 0
    rows: int | None = None


class Rows(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``count`` rows of one request within a forward.

    ``inputs`` has for each input of the model the offset in the arena of the first row that is
    wanted, little-endian and row-major with the others behind it, or its JSON text. ``outputs``
    has for each output the offset where its first row goes, in the same form.
    """

    count: int
    inputs: tuple[int | Text, ...]
    outputs: tuple[int, ...]


class Infer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="infer"):
    """Compute these rows together."""

    rows: tuple[Rows, ...]


Command = Forwards | FindPeak | Infer


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ready"):
    """The model is prepared. Settings are as read back inside the child, memory in bytes.

    ``memory`` is the most since the start, ``resident`` what an instance of a server has now.
    ``nodes`` are those that memory is bound to, None where that cannot be told. ``error`` is the
    outputs' relative error against eager over ``compared`` inputs, and ``agreement`` the share of
    them with the same top-1 class, where there are enough classes. ``facts`` are what the library
    of the optimization stated. ``start_s`` counts from the start of the process to the imported
    library, ``prepare_s`` from there to ready. ``input_s`` is what each input of a small batch took
    in a first forward, in seconds: a rough idea before anything is measured. ``quietly`` says
    whether it stepped back meanwhile, and ``scheduling`` has the policies of its threads after it
    should have; empty where nobody asked it to. ``handover`` is a folder from which instances like
    it are prepared without PyTorch; empty where they cannot be.
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
    handover: str = ""


class Timed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="timed"):
    """Durations of single forwards in seconds, in order, and what was counted around them.

    ``begun_at`` and ``ended_at`` are those of the first and the last forward on the monotonic
    clock. Of instances that ran together, a duration is a round's, and ``copies`` has those of
    every instance, round by round. ``warmup`` has the durations of the forwards that were run
    before these and are no data: nothing was counted around them but peak memory. ``signs`` tell
    whether the forwards had their cores to themselves; None where nobody looked.
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
    """Operations per second of a matrix product by number type, bytes per second of a copy."""

    matmul_flops: dict[str, float]
    memory_bandwidth: float


class Inferred(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="inferred"
):
    """The outputs are in the arena.

    ``compute_s`` is what the forwards took, in seconds; ``started_at`` and ``ended_at`` are on
    the monotonic clock, around what was copied and decoded too. ``refused`` has a text for each
    of the rows: empty where they were computed, else what is wrong with their JSON.
    """

    compute_s: float
    started_at: float
    ended_at: float
    refused: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="failure"):
    """The command failed inside the child.

    ``model`` is a mistake in naming a model or its weights, or a library that the model lacks;
    ``prepare`` is any other failure before ready. The child ends after these, and goes on after
    ``memory`` and ``forward``.
    """

    kind: Literal["model", "prepare", "memory", "forward"]
    message: str
    remedy: str = ""
    option: str = ""


Reply = Ready | Timed | FoundPeak | Inferred | Failure
