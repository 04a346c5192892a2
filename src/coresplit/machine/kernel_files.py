"""Read small kernel files below a root, which may be a recorded tree."""

import os
from pathlib import Path

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""The unit of CPU times in /proc, in seconds."""

STATE, PARENT, USER, SYSTEM, STARTED, CPU = 0, 1, 11, 12, 19, 36
"""Places in what ``read_stat`` returns: times are in ticks, CPU is the one last run on."""

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"


def below(root: Path, absolute: str) -> Path:
    """Return an absolute path of the machine whose file tree is at ``root``."""
    return root / absolute.lstrip("/")


def read_text(path: Path) -> str | None:
    """Return the stripped text of a file, or None if it is missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """Return the integer in a file, or None if there is none."""
    text = read_text(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def read_fields(path: Path) -> dict[str, int]:
    """Return name and first number of lines such as ``MemTotal: 24 kB`` or ``nr_throttled 3``."""
    fields: dict[str, int] = {}
    for line in (read_text(path) or "").splitlines():
        words = line.replace(":", " ", 1).split()
        if len(words) >= 2 and words[1].isdecimal():
            fields[words[0]] = int(words[1])
    return fields


def read_stat(path: Path) -> tuple[str, list[str]]:
    """Return the name of a process or thread and the fields behind it; empty if it has ended.

    That is a file ``stat`` as in proc(5). A name may have spaces and brackets in it.
    """
    head, _, rest = (read_text(path) or "").rpartition(")")
    return head.partition("(")[2], rest.split()


def huge_pages(root: Path = Path("/")) -> str:
    """Return the mode of huge pages: ``always``, ``madvise`` or ``never``; empty if unknown."""
    text = read_text(below(root, HUGE_PAGES)) or ""
    return text.partition("[")[2].partition("]")[0]
