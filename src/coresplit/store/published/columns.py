"""The columns of the published tables and how their text is read and written."""

import re
from decimal import Decimal

from coresplit.store.checks import LONGEST_S, SHORTEST_S
from coresplit.units import MOST, MOST_CORES

CELL_COLUMNS = (
    "benchmark",
    "topology",
    "pinning",
    "source",
    "allocator",
    "instance_id",
    "interop_threads",
    "intraop_threads",
    "batch_size",
)
LATENCY_COLUMNS = ("latency(min)", "latency(avg)", "latency(max)")
LATENCY_HEADER = (*CELL_COLUMNS, *LATENCY_COLUMNS, "flops")
THROUGHPUT_HEADER = (*CELL_COLUMNS, "throughput")
KNOWN_COLUMNS = (*LATENCY_HEADER, "throughput", "instances", "threads", "ht")
REQUIRED_COLUMNS = ("benchmark", "intraop_threads", "batch_size")

# Older files have one number of threads.
ALIASES = {"threads": "intraop_threads"}

# What older files, which lack these columns, were measured with.
DEFAULTS = {
    "topology": "sequential",
    "pinning": "",
    "source": "torch",
    "allocator": "default",
    "instance_id": "1",
    "interop_threads": "1",
    "flops": "0.0",
}

_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", re.ASCII)
_BENCHMARK = re.compile(r"(.+)_manual_(.+)", re.ASCII)


def is_name(text: str) -> bool:
    """True if ``text`` can name a model, optimization or allocator."""
    return _NAME.fullmatch(text) is not None


def split_benchmark(text: str) -> tuple[str, str]:
    """Return model and optimization of ``inception_manual_script``; else raise ValueError."""
    match = _BENCHMARK.fullmatch(text)
    if match is None or not is_name(match[1]) or not is_name(match[2]):
        raise ValueError("is not of the form MODEL_manual_OPTIMIZATION")
    return match[1], match[2]


def count(text: str) -> int:
    """Parse a positive whole number; ValueError says what is wrong."""
    if re.fullmatch(r"[+-]?\d{1,30}", text, re.ASCII) is None:
        raise ValueError("is not a whole number")
    if not 1 <= int(text) <= MOST:
        raise ValueError(f"is not between 1 and {MOST}")
    return int(text)


def threads(text: str) -> int:
    """Parse a number of threads that a machine can have; ValueError says what is wrong."""
    if count(text) > MOST_CORES:
        raise ValueError(f"is not between 1 and {MOST_CORES}")
    return int(text)


def instance_number(text: str) -> int:
    """Parse the number of an instance, from 0; ValueError says what is wrong."""
    return 0 if re.fullmatch(r"\+?0+", text, re.ASCII) else count(text)


def decimal(text: str) -> float:
    """Parse a finite number; ValueError says what is wrong."""
    if _DECIMAL.fullmatch(text) is None or not abs(float(text)) < float("inf"):
        raise ValueError("is not a finite number")
    return float(text)


def operations(text: str) -> float:
    """Parse a number of operations, 0 if it was not counted; ValueError says what is wrong."""
    if decimal(text) < 0:
        raise ValueError("is negative")
    return float(text)


def seconds(text: str) -> float:
    """Parse milliseconds to seconds, by decimal shift; ``milliseconds`` is the inverse."""
    if not SHORTEST_S * 1e3 <= decimal(text) <= LONGEST_S * 1e3:
        raise ValueError("is not a latency in milliseconds above 0")
    return float(Decimal(text).scaleb(-3))


def milliseconds(latency: float) -> str:
    """Return ``latency``, in seconds, as text in milliseconds with all its digits."""
    return f"{Decimal(repr(latency)).scaleb(3):f}"


def rate(text: str) -> float:
    """Parse inferences per second; ValueError says what is wrong."""
    if not 1 / LONGEST_S <= decimal(text) <= 1e9 / SHORTEST_S:
        raise ValueError("is not a throughput above 0")
    return float(text)
