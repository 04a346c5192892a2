"""Numbers, durations, sizes, lists and errors as text, at the edge only."""

from collections.abc import Sequence

_LONGEST_ERROR = 300


def format_duration(seconds: float) -> str:
    """Three significant digits in the largest fitting unit: ``842 us``, ``12.3 ms``, ``1.08 s``."""
    if seconds >= 100:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds * 1e9)} ns"


def format_size(size: float) -> str:
    """Binary units: ``512 B``, ``1.5 MiB``, ``23.4 GiB``."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{_three_digits(value)} {unit}"
        value /= 1024
    return f"{_three_digits(value)} TiB"


def format_share(share: float) -> str:
    """Percent with two significant digits below 10 %: ``0.42 %``, ``3.1 %``, ``37 %``."""
    percent = share * 100
    digits = 2 if abs(percent) < 1 else 1 if abs(percent) < 10 else 0
    return f"{percent:.{digits}f} %"


def format_cores(count: int) -> str:
    """``1 core``, ``16 cores``."""
    return f"{count} {'core' if count == 1 else 'cores'}"


def format_numbers(numbers: tuple[int, ...]) -> str:
    """Shortest list that ``parse_numbers`` reads back for runs of neighbours: ``1-4,8``."""
    parts: list[str] = []
    start = 0
    for index in range(1, len(numbers) + 1):
        if index < len(numbers) and numbers[index] == numbers[index - 1] + 1:
            continue
        first, last = numbers[start], numbers[index - 1]
        parts.append(str(first) if first == last else f"{first}-{last}")
        start = index
    return ",".join(parts)


def rate(value: float) -> str:
    """Inferences per second with three significant digits: ``155 inferences/s``."""
    return f"{number(value)} inferences/s"


def number(value: float) -> str:
    """Three significant digits without an exponent: ``0.0123``, ``1.23``, ``12,300``."""
    if value >= 999.5:
        return f"{float(f'{value:.3g}'):,.0f}"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{digits}f}"


def times(ratio: float) -> str:
    """A ratio: ``1.07x``, ``3.2x``, ``12x``."""
    if ratio < 1.095:
        return f"{ratio:.2f}x"
    return f"{ratio:.1f}x" if ratio < 99.5 else f"{ratio:,.0f}x"


def times_exact(ratio: float) -> str:
    """A ratio with three significant digits: ``1.07x``, ``12.3x``."""
    return f"{number(ratio)}x"


def percent(share: float) -> str:
    """A share for a sentence: ``0.4 %``, ``3 %``, ``37 %``."""
    return f"{share * 100:.1f} %" if share < 0.0095 else f"{share * 100:.0f} %"


def on_threads(count: int) -> str:
    """``1 thread`` or ``16 threads``."""
    return "1 thread" if count == 1 else f"{count} threads"


def some_cells(count: int) -> str:
    """``1 cell`` or ``16 cells``."""
    return "1 cell" if count == 1 else f"{count:,} cells"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _three_digits(value: float) -> str:
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}"


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of its text, at most 300 characters of it."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = next((line for line in lines if line), "")
    name = type(error).__name__
    return f"{name}: {said[:_LONGEST_ERROR]}" if said else name
