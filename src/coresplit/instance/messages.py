"""What parent and child say to each other, as JSON over a pipe."""

from typing import Literal

import msgspec

from coresplit.models import ModelSpec
from coresplit.records import Evidence, Mapping


class InstanceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that makes one instance differ from another.

    ``cpus`` has one logical CPU per thread. While the model is prepared the first thread may run
    on all of ``home``, so that instances which will share their first core do not queue for it.
    """

    model: ModelSpec
    optimization: str
    cpus: tuple[int, ...]
    home: tuple[int, ...]
    mapping: Mapping = "sequential"
    allocator: str = "default"

    @property
    def threads(self) -> int:
        """Intra-op threads, one pinned to each core."""
        return len(self.cpus)

    def __str__(self) -> str:
        """Name the instance as messages do."""
        return f"instance {self.optimization} t={self.threads}"


class Forwards(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Run up to ``count`` forwards of one batch, starting none after ``seconds``."""

    batch: int
    count: int
    seconds: float


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="ready"):
    """The model is prepared. Settings are as read back inside the child, memory in bytes.

    ``error`` is the outputs' relative error against eager. ``start_s`` counts from the start of
    the process to the imported library, ``prepare_s`` from there to ready.
    """

    threads: int
    interop_threads: int
    cpus: tuple[int, ...]
    allocator: str
    start_s: float
    prepare_s: float
    error: float
    largest_tensor: int
    input_shape: tuple[int, ...]
    parameters: int
    weights: str
    memory: int


class Timed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="timed"):
    """Durations of single forwards in seconds, in order, and what was counted around them."""

    durations: tuple[float, ...]
    evidence: Evidence


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="failure"):
    """The command failed inside the child.

    ``model`` is the user's mistake in naming a model or its weights, ``prepare`` any other failure
    before ready; the child ends after both. After ``memory`` and ``forward`` it goes on.
    """

    kind: Literal["model", "prepare", "memory", "forward"]
    message: str


Reply = Ready | Timed | Failure
