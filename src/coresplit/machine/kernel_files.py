"""Read small kernel files below a root, which may be a recorded tree."""

import os
from pathlib import Path

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
"""The unit of CPU times in /proc, in seconds."""

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


def huge_pages(root: Path = Path("/")) -> str:
    """Return the mode of huge pages: ``always``, ``madvise`` or ``never``; empty if unknown."""
    text = read_text(below(root, HUGE_PAGES)) or ""
    return text.partition("[")[2].partition("]")[0]
