"""What is told of timed forwards that shared their cores, from recorded trees and real threads."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from machine_trees import add_cores, write

from coresplit.machine.counters import Counters, ThreadTime, read_counters
from coresplit.machine.neighbours import Neighbours
from coresplit.machine.sharing import clock_hz, signs_of

TICK = 1 / os.sysconf("SC_CLK_TCK")
ZERO = Counters(
    wall_s=0.0,
    user_s=0.0,
    system_s=0.0,
    minor_faults=0,
    major_faults=0,
    voluntary_switches=0,
    involuntary_switches=0,
    throttled_periods=0,
    throttled_s=0.0,
    steal_s=0.0,
    threads=(),
)


def reading(*threads: tuple[float, float | None], busy: dict[int, float]) -> Counters:
    """A reading of threads 1, 2, ... with CPU and waiting seconds."""
    times = tuple(
        ThreadTime(thread=number, cpu_s=cpu_s, resolution_s=1e-9, waited_s=waited_s)
        for number, (cpu_s, waited_s) in enumerate(threads, 1)
    )
    return msgspec.structs.replace(ZERO, threads=times, busy_s=busy)


def bound(root: Path, *lists: str) -> Path:
    """Threads 1, 2, ... that may run on these CPUs."""
    return write(
        root,
        {
            f"/proc/self/task/{number}/status": f"Cpus_allowed_list:\t{text}"
            for number, text in enumerate(lists, 1)
        },
    )


def test_the_thread_that_waited_most_decides_and_names_its_core(tmp_path: Path) -> None:
    root = bound(tmp_path, "0", "1")
    before = reading((1.0, 0.5), (1.0, 0.5), busy={0: 5.0, 1: 5.0})
    after = reading((2.0, 0.51), (1.5, 1.0), busy={0: 6.0, 1: 6.0})
    found = signs_of(before, after, (0, 1), 1.0, root=root)
    assert (found.waited_s, found.core, found.others_s) == (0.5, 1, 0.5)


def test_an_idle_thread_that_waits_behind_its_own_process_is_passed_over(tmp_path: Path) -> None:
    root = bound(tmp_path, "0", "0")
    before = reading((0.0, 0.0), (0.0, 0.0), busy={0: 0.0})
    after = reading((1.0, 0.0), (0.001, 0.2), busy={0: 1.0})
    found = signs_of(before, after, (0,), 1.0, root=root)
    assert (found.waited_s, found.core) == (0.0, 0)


def test_a_thread_that_hardly_came_to_run_is_not_idle(tmp_path: Path) -> None:
    root = bound(tmp_path, "0", "1")
    before = reading((0.0, 0.0), (0.0, 0.0), busy={})
    after = reading((1.0, 0.0), (0.02, 0.97), busy={})
    found = signs_of(before, after, (0, 1), 1.0, root=root)
    assert (found.waited_s, found.core) == (0.97, 1)


def test_without_waits_the_core_is_where_others_ran_most(tmp_path: Path) -> None:
    root = bound(tmp_path, "0", "1")
    before = reading((0.0, None), (0.0, None), busy={0: 0.0, 1: 0.0})
    after = reading((0.9, None), (0.5, None), busy={0: 1.0, 1: 1.0})
    found = signs_of(before, after, (0, 1), 1.0, root=root)
    assert (found.waited_s, found.core, found.others_s) == (None, 1, 0.5)


def test_of_threads_that_may_move_no_core_is_named(tmp_path: Path) -> None:
    root = bound(tmp_path, "0-1", "0-1")
    before = reading((0.0, 0.0), (0.0, 0.0), busy={0: 0.0, 1: 0.0})
    after = reading((0.9, 0.1), (0.5, 0.5), busy={0: 1.0, 1: 1.0})
    found = signs_of(before, after, (0, 1), 1.0, root=root)
    assert (found.waited_s, found.core, found.others_s) == (0.5, None, 0.0)


def test_a_busy_sibling_of_the_cores_is_seen(tmp_path: Path) -> None:
    root = bound(add_cores(tmp_path, [(0, 2), (1, 3)], [0, 0], [0, 0]), "0")
    before = reading((0.0, 0.0), busy=dict.fromkeys(range(4), 0.0))
    after = reading((1.0, 0.0), busy={0: 1.0, 1: 1.0, 2: 0.75, 3: 1.0})
    found = signs_of(before, after, (0,), 1.0, root=root)
    assert (found.sibling, found.sibling_s) == (2, 0.75)


def test_busy_time_leaves_out_idle_waiting_for_disks_and_stolen_time(tmp_path: Path) -> None:
    lines = ("cpu  9 9 9 9 9 9 9 9 0 0", "cpu0 1 2 4 100 200 8 16 400 0 0", "cpu1 1 2", "intr 7")
    write(tmp_path, {"/proc/stat": "\n".join(lines)})
    found = read_counters({0}, tmp_path)
    assert found.busy_s == {0: 31 * TICK, 1: 3 * TICK}
    assert found.steal_s == 400 * TICK


def test_the_clock_is_that_of_sysfs_else_of_cpuinfo_else_unknown(tmp_path: Path) -> None:
    assert clock_hz((0,), tmp_path) is None
    cpuinfo = "processor : 0\ncpu MHz : 2000.0\nprocessor : 1\ncpu MHz : 3000.0\ncpu MHz : odd"
    write(tmp_path, {"/proc/cpuinfo": cpuinfo})
    assert clock_hz((1,), tmp_path) == 3e9
    assert clock_hz((0, 1), tmp_path) == 2.5e9
    write(tmp_path, {"/sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": 1_500_000})
    assert clock_hz((1,), tmp_path) == 1.5e9


def spin_on(cpu: int) -> subprocess.Popen[bytes]:
    """A process that has begun to spin on one core."""
    code = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nprint(flush=True)\nwhile 1: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_real_loop_on_the_core_of_a_thread_makes_it_wait() -> None:
    allowed = os.sched_getaffinity(0)
    cpu = max(allowed)
    os.sched_setaffinity(0, {cpu})
    loop = spin_on(cpu)
    try:
        before = read_counters({cpu})
        begin = time.monotonic()
        while time.monotonic() < begin + 0.3:
            pass
        after = read_counters({cpu})
        found = signs_of(before, after, (cpu,), after.wall_s - before.wall_s)
    finally:
        loop.kill()
        loop.communicate()
        os.sched_setaffinity(0, allowed)
    if found.waited_s is not None:
        assert found.waited_s > 0.1 * found.wall_s
    assert found.switches > 0


def process(pid: int, parent: int, name: str, ticks: int, cpu: int) -> dict[str, object]:
    """The files of a process with one thread that last ran on a core."""
    fields = ["S", str(parent), *["0"] * 9, str(ticks), "0", *["0"] * 23, str(cpu), "0"]
    stat = f"{pid} ({name}) {' '.join(fields)}"
    return {f"/proc/{pid}/stat": stat, f"/proc/{pid}/task/{pid}/stat": stat}


def test_the_process_that_ran_most_on_the_core_outside_of_our_tree_is_named(tmp_path: Path) -> None:
    now = [0.0]
    ours = process(10, 1, "coresplit", 0, 0) | process(11, 10, "child", 0, 1)
    others = process(20, 1, "a (b) c", 500, 1) | process(21, 1, "elsewhere", 0, 0)
    write(tmp_path, ours | others | process(22, 1, "idle", 900, 1))
    neighbours = Neighbours(tmp_path, 10, lambda: now[0])
    now[0] = 10.0
    busy = int(5 / TICK)
    write(
        tmp_path, process(11, 10, "child", 3 * busy, 1) | process(20, 1, "a (b) c", 500 + busy, 1)
    )
    write(tmp_path, process(21, 1, "elsewhere", 2 * busy, 0))
    assert neighbours.busiest((1,)) == "a (b) c (process 20)"
    assert neighbours.busiest((0,)) == "elsewhere (process 21)"
    assert neighbours.busiest(()) == "elsewhere (process 21)"
    assert neighbours.busiest((5,)) == ""
    now[0] = 20.0
    assert neighbours.busiest((1,)) == ""


def test_a_machine_that_shows_no_processes_names_none(tmp_path: Path) -> None:
    write(tmp_path, {"/proc/7/stat": "torn"})
    assert Neighbours(tmp_path, 10).busiest((0,)) == ""
    assert Neighbours(tmp_path / "none", 10).busiest(()) == ""
