"""Memory of processes."""


def resident(pid: int) -> int:
    """Return the resident bytes of a process without the arena; 0 if it has ended.

    Pages of the arena that it has touched stay resident too, but are not its own.
    """
    found = _sizes(pid)
    return found[b"VmRSS"] - found[b"RssShmem"]


def proportional(pid: int) -> int:
    """Return the bytes of a process without the arena; shared pages are divided among processes.

    0 if it has ended.
    """
    found = _sizes(pid, "smaps_rollup")
    return found[b"Pss"] - found[b"Pss_Shmem"]


def shared(pid: int) -> int:
    """Return the bytes of the arena that a process has touched; 0 if it has ended."""
    return _sizes(pid)[b"RssShmem"]


def _sizes(pid: int, told: str = "status") -> dict[bytes, int]:
    found = {b"VmRSS": 0, b"RssShmem": 0, b"Pss": 0, b"Pss_Shmem": 0}
    try:
        with open(f"/proc/{pid}/{told}", "rb") as file:  # noqa: PTH123 (read every second)
            for line in file:
                name, _, value = line.partition(b":")
                if name in found:
                    found[name] = int(value.split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return dict.fromkeys(found, 0)
    return found
