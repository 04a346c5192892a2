"""CPU quota, memory limit and throttling of the process's own cgroup and every level above it.

A limit at any level between the process and the root applies, so every level is read. Version 1 has
one hierarchy per controller, version 2 a single one, and a hybrid machine has both.
"""

import re
from pathlib import Path

import msgspec

from coresplit.machine.kernel_files import below, read_fields, read_int, read_text

# The "no limit" of version 1 is the largest page-rounded long; no machine has an EiB.
_NO_MEMORY_LIMIT = 1 << 60
_DEFAULT_PERIOD_US = 100_000


class Throttling(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often and how long quotas stopped this process's cgroups, since they were created.

    ``seconds`` adds the time of every throttled CPU, so it can exceed wall time.
    """

    periods: int
    seconds: float


class _Mount(msgspec.Struct, frozen=True, kw_only=True):
    """One cgroup hierarchy: ``shown`` is the cgroup that its mount point displays as the top."""

    shown: str
    point: str
    controllers: frozenset[str]
    unified: bool


def cpu_levels(root: Path = Path("/")) -> tuple[Path, ...]:
    """Return the folders that may have a CPU quota, from the own cgroup up to each root."""
    return _levels("cpu", root)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the smallest CPU quota over all levels, in cores; None if there is no quota."""
    quotas = [_level_quota(folder) for folder in cpu_levels(root)]
    return min((quota for quota in quotas if quota is not None), default=None)


def parse_cpu_max(text: str) -> float | None:
    """Return the cores in a ``cpu.max`` text: ``150000 100000`` is 1.5, ``max 100000`` is None.

    Raises ValueError for anything else.
    """
    match = re.fullmatch(r"(max|[0-9]+)(?:\s+([0-9]+))?", text.strip())
    if match is None or (match[2] and int(match[2]) == 0):
        raise ValueError(f"'{text}' is not a cpu.max such as 150000 100000")
    if match[1] == "max":
        return None
    return int(match[1]) / int(match[2] or _DEFAULT_PERIOD_US)


def memory_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest memory limit over all levels in bytes; None if there is none.

    ``memory.high`` of version 2 counts too: above it, the kernel slows the process down to reclaim
    memory, which spoils a measurement.
    """
    limits = [_level_limit(folder) for folder in _levels("memory", root)]
    return min((limit for limit in limits if limit is not None), default=None)


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes this process can still use: free on the machine and within every limit.

    Cache that the kernel drops first (``inactive_file``) counts as free, as in ``MemAvailable``.
    """
    machine = read_fields(below(root, "/proc/meminfo"))
    free = 1024 * machine.get("MemAvailable", machine.get("MemFree", 0))
    for folder in _levels("memory", root):
        limit = _level_limit(folder)
        if limit is not None:
            free = min(free, limit - _level_usage(folder))
    return max(free, 0)


def throttle_counters(root: Path = Path("/")) -> Throttling:
    """Return throttled periods and seconds, summed over all levels.

    The kernel counts throttling only at the level whose quota ran out, so the sum grows exactly
    when some level was throttled; a maximum would hide a level with a smaller count.
    """
    periods = 0
    seconds = 0.0
    for folder in cpu_levels(root):
        counters = read_fields(folder / "cpu.stat")
        periods += counters.get("nr_throttled", 0)
        seconds += counters.get("throttled_time", 0) / 1e9
        seconds += counters.get("throttled_usec", 0) / 1e6
    return Throttling(periods=periods, seconds=seconds)


def _level_quota(folder: Path) -> float | None:
    unified = read_text(folder / "cpu.max")
    if unified is not None:
        try:
            return parse_cpu_max(unified)
        except ValueError:
            return None
    quota = read_int(folder / "cpu.cfs_quota_us")
    period = read_int(folder / "cpu.cfs_period_us") or _DEFAULT_PERIOD_US
    return None if quota is None or quota <= 0 else quota / period


def _level_limit(folder: Path) -> int | None:
    values = [
        read_int(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
    ]
    return min((v for v in values if v is not None and v < _NO_MEMORY_LIMIT), default=None)


def _level_usage(folder: Path) -> int:
    usage = read_int(folder / "memory.current")
    stat = read_fields(folder / "memory.stat")
    if usage is not None:
        return usage - stat.get("inactive_file", 0)
    # In version 1 only the total_ counters include the cgroups below, as the usage does.
    cache = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return (read_int(folder / "memory.usage_in_bytes") or 0) - cache


def _levels(controller: str, root: Path) -> tuple[Path, ...]:
    """Return the existing folders from the own cgroup to the mount point, for versions 1 and 2."""
    paths = _own_paths(root)
    mounts = _mounts(root)
    found: list[Path] = []
    for unified in (False, True):
        path = paths.get("" if unified else controller)
        fitting = [
            mount
            for mount in mounts
            if mount.unified == unified and (unified or controller in mount.controllers)
        ]
        if path is not None and fitting:
            # A hierarchy may be mounted twice; use the mount that shows the most levels.
            chains = [_chain(path, mount, root) for mount in fitting]
            longest = max(chains, key=len)
            found.extend(longest)
    return tuple(found)


def _chain(path: str, mount: _Mount, root: Path) -> list[Path]:
    top = below(root, mount.point)
    shown = mount.shown.rstrip("/")
    # In a cgroup namespace the path can be outside of the mount; then only the top is known.
    if ".." in path.split("/") or not (path == shown or path.startswith(shown + "/")):
        return [top]
    names = [name for name in path[len(shown) :].split("/") if name]
    chain = [top.joinpath(*names[:depth]) for depth in range(len(names), -1, -1)]
    return [folder for folder in chain if folder == top or folder.is_dir()]


def _own_paths(root: Path) -> dict[str, str]:
    """Return the cgroup path of this process by controller; version 2 has the empty name."""
    paths: dict[str, str] = {}
    for line in (read_text(below(root, "/proc/self/cgroup")) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number.isdecimal() and path.startswith("/"):
            paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _mounts(root: Path) -> list[_Mount]:
    """Return every cgroup mount of /proc/self/mountinfo (proc(5): fields 4, 5, and 9 to 11)."""
    mounts: list[_Mount] = []
    for line in (read_text(below(root, "/proc/self/mountinfo")) or "").splitlines():
        head, separator, tail = line.partition(" - ")
        fields, kind = head.split(), tail.split()
        if not separator or len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        mounts.append(
            _Mount(
                shown=_unescape(fields[3]),
                point=_unescape(fields[4]),
                controllers=frozenset(kind[-1].split(",")),
                unified=kind[0] == "cgroup2",
            )
        )
    return mounts


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
