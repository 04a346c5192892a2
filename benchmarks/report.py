"""Time and memory of building a report: the full grid, ten optimizations, and 5,000 cells.

Run as ``python benchmarks/report.py``; prints one line per case. Every case runs in a separate
process, so that peak memory is measured for each.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "reports"))

from report_many import many_run
from report_runs import measured_run

from coresplit.records import Run
from coresplit.reports import build

MANY = ("none", "script", "compile", "onnxruntime", "openvino", "trace", "bf16")
LIMITS = {
    "full-grid-2": 20.0,
    "full-grid-16": 20.0,
    "ten-2": 30.0,
    "ten-2-allocators": 60.0,
    "5000-cells": 60.0,
}
MEMORY_LIMIT = 1e9


def case(name: str) -> Run:
    """Return the run of a case.

    The full grid on 2 and 16 threads; ten optimizations on 2 threads and 8 batches, with one and
    with four allocators; 64 threads x 11 batches x 7 optimizations.
    """
    if name == "full-grid-2":
        return measured_run((1, 2))
    if name == "full-grid-16":
        return measured_run(range(1, 17))
    if name == "ten-2":
        return many_run()
    if name == "ten-2-allocators":
        return many_run(allocators=("default", "glibc_tuned", "tcmalloc", "jemalloc"))
    return measured_run(range(1, 65), optimizations=MANY)


def measure(name: str) -> None:
    """Build one report; print its size, time and memory."""
    run = case(name)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        index = build(run, Path(folder))
        took = time.perf_counter() - started
        pictures = len(list(Path(folder).glob("*.png")))
        size = index.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{name}: {len(run.measurements)} cells, {pictures} pictures, page {size / 1e6:.1f} MB, "
        f"{took:.1f} s (limit {LIMITS[name]:.0f} s, ratio {took / LIMITS[name]:.2f}), "
        f"{peak / 1e6:.0f} MB (limit {MEMORY_LIMIT / 1e6:.0f} MB, "
        f"ratio {peak / MEMORY_LIMIT:.2f})",
        flush=True,
    )


def main() -> None:
    """Measure the case named on the command line, or all cases, each in a separate process."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    for name in LIMITS:
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    main()
