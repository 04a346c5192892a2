"""The machine a run was measured on."""

import msgspec


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One physical core, identified by the lowest of its logical CPUs.

    ``kind`` is ``fast`` or ``slow`` on a machine that mixes them, and empty on any other.
    """

    cpu: int
    package: int = 0
    node: int = 0
    kind: str = ""


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Processor, usable cores and limits. Memory in bytes, quota in cores.

    ``cores`` are the physical cores of the affinity mask; ``usable`` is how many of them may be
    busy at once under the quota (0 if the quota is below one core).
    """

    cpu_model: str
    cores: tuple[Core, ...]
    usable: int
    quota_cores: float | None
    memory: int
    memory_limit: int | None
    kernel: str
    nodes: int = 1
    logical_cpus: int = 0

    @property
    def usable_cores(self) -> tuple[int, ...]:
        """The logical CPU ids that threads may be pinned to, in order."""
        return tuple(core.cpu for core in self.cores[: self.usable])
