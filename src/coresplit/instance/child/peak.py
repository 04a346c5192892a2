"""The peak speed of an instance's cores, measured with a matrix product and a copy."""

import time
from collections.abc import Callable

import torch

SIZE, SMALL = 2048, 256
LONGEST_S = 0.5
"""Longest product in seconds; a slower type has no optimized kernel and gets a small product."""
COPY_BYTES = 256 * 2**20
SECONDS = 0.4
FEWEST = 5


def matmul_flops() -> dict[str, float]:
    """Return operations per second of a large matrix product for every supported number type.

    A multiplication and an addition count as two. For float32, the better of PyTorch's and numpy's
    library counts: on processors not made by the library's vendor they differ by a fifth.
    A type whose large product would take over half a second is measured with a small one.
    """
    found: dict[str, float] = {}
    for name in ("float32", "bfloat16", "int8"):
        try:
            small = min(map(_once, _works(name, SMALL)))
            size = SIZE if small * (SIZE / SMALL) ** 3 <= LONGEST_S else SMALL
            found[name] = 2 * size**3 / min(map(_best, _works(name, size)))
        except (RuntimeError, NotImplementedError):
            # this build of PyTorch has no such product for a CPU
            continue
    return found


def _works(name: str, size: int) -> tuple[Callable[[], object], ...]:
    """Return functions that multiply square matrices of a number type and size."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(size, size, generator=generator)
    if name == "float32":
        array = numbers.numpy()
        return (lambda: torch.mm(numbers, numbers), lambda: array @ array)
    if name == "bfloat16":
        half = numbers.bfloat16()
        return (lambda: torch.mm(half, half),)
    whole = numbers.mul(40).clamp(-127, 127).to(torch.int8)
    return (lambda: torch._int_mm(whole, whole),)


def memory_bandwidth() -> float:
    """Return bytes per second, read and written, of a copy far larger than the caches."""
    source = torch.ones(COPY_BYTES // 4)
    target = torch.zeros_like(source)
    return 2 * COPY_BYTES / _best(lambda: target.copy_(source))


def _once(work: Callable[[], object]) -> float:
    """Return the seconds of the faster of two calls; the first sets up the kernel."""
    with torch.inference_mode():
        return min(_timed(work) for _ in range(2))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _best(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several calls: noise only makes calls slower.

    One call before them sets up the kernel.
    """
    with torch.inference_mode():
        work()
        best, count, begin = float("inf"), 0, time.perf_counter()
        while count < FEWEST or time.perf_counter() - begin < SECONDS:
            best = min(best, _timed(work))
            count += 1
    return best
