"""What the cores of an instance can do at most: a matrix product and a copy, measured on them."""

import time
from collections.abc import Callable

import torch

SIZE = 2048
COPY_BYTES = 256 * 2**20
SECONDS = 0.4
FEWEST = 5


def products() -> dict[str, float]:
    """Operations per second of a large matrix product for every number type there is one for.

    A multiplication and an addition count as two. For float32 the better of PyTorch's library and
    numpy's counts: on processors of another maker than the library's they differ by a fifth.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(SIZE, SIZE, generator=generator)
    array = numbers.numpy()
    half = numbers.bfloat16()
    small = numbers.mul(40).clamp(-127, 127).to(torch.int8)
    kinds: dict[str, tuple[Callable[[], object], ...]] = {
        "float32": (lambda: torch.mm(numbers, numbers), lambda: array @ array),
        "bfloat16": (lambda: torch.mm(half, half),),
        "int8": (lambda: torch._int_mm(small, small),),
    }
    found: dict[str, float] = {}
    for name, works in kinds.items():
        try:
            found[name] = 2 * SIZE**3 / min(map(_best, works))
        except (RuntimeError, NotImplementedError):
            # this build of PyTorch has no such product for a CPU
            continue
    return found


def copy_bytes() -> float:
    """Bytes per second, read and written, of a copy far larger than the caches."""
    source = torch.ones(COPY_BYTES // 4)
    target = torch.zeros_like(source)
    return 2 * COPY_BYTES / _best(lambda: target.copy_(source))


def _best(work: Callable[[], object]) -> float:
    """Seconds of the quickest of several calls: a peak is what can be reached.

    One call before them sets up the kernel. A neighbour's noise only makes calls slower.
    """
    with torch.inference_mode():
        work()
        best, count, begin = float("inf"), 0, time.perf_counter()
        while count < FEWEST or time.perf_counter() - begin < SECONDS:
            start = time.perf_counter()
            work()
            best = min(best, time.perf_counter() - start)
            count += 1
    return best
