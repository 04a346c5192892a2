"""The caches of a CPU, from sysfs."""

import re
from pathlib import Path

from coresplit.machine.kernel_files import below, read_text

_CACHES = "/sys/devices/system/cpu/cpu0/cache"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
NOT_STATED = 64 * 2**20
"""Bytes assumed where the kernel states no caches, as in some virtual machines."""


def last_level_cache(root: Path = Path("/")) -> int:
    """Bytes of the largest cache of the first CPU: the last one before memory."""
    folders = below(root, _CACHES).glob("index[0-9]*")
    return max((_size(read_text(each / "size") or "") for each in folders), default=0) or NOT_STATED


def _size(text: str) -> int:
    """Bytes of a size such as ``16384K``; 0 for anything else."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * _UNITS[match[2]] if match else 0
