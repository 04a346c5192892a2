import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
from machine_trees import mount_v2, write

from coresplit.machine.counters import (
    Change,
    Counters,
    ThreadTime,
    allowed_lists,
    busy,
    busy_threads,
    die_with_parent,
    difference,
    peak_memory,
    read_counters,
    reset_peak_memory,
    steal_seconds,
)

MIB = 2**20
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


def reading(wall_s: float, resolution_s: float, **cpu_s: float) -> Counters:
    """A reading of threads named t1, t2, ... by their id."""
    threads = tuple(
        ThreadTime(thread=int(name[1:]), cpu_s=value, resolution_s=resolution_s)
        for name, value in cpu_s.items()
    )
    return msgspec.structs.replace(ZERO, wall_s=wall_s, threads=threads)


def touched(size: int) -> mmap.mmap:
    """Fresh memory, all resident: a block of the heap may be one that an earlier test freed."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, size, mmap.PAGESIZE):
        memory[page] = 1
    return memory


def burn(seconds: float) -> None:
    while time.thread_time() < seconds:
        pass


def test_a_change_is_the_difference_of_every_counter() -> None:
    before = msgspec.structs.replace(ZERO, wall_s=5.0, user_s=1.0, throttled_s=2.0, steal_s=0.25)
    after = msgspec.structs.replace(
        before,
        wall_s=7.5,
        user_s=3.0,
        system_s=0.5,
        minor_faults=10,
        major_faults=2,
        voluntary_switches=3,
        involuntary_switches=4,
        throttled_periods=6,
        throttled_s=2.5,
        steal_s=0.75,
    )
    assert difference(before, after) == Change(
        wall_s=2.5,
        user_s=2.0,
        system_s=0.5,
        minor_faults=10,
        major_faults=2,
        voluntary_switches=3,
        involuntary_switches=4,
        throttled_periods=6,
        throttled_s=0.5,
        steal_s=0.5,
    )


def test_moving_to_a_cgroup_with_smaller_counters_is_no_negative_throttling() -> None:
    before = msgspec.structs.replace(ZERO, throttled_periods=9, throttled_s=1.0)
    change = difference(before, ZERO)
    assert (change.throttled_periods, change.throttled_s) == (0, 0.0)


def test_the_work_of_this_process_shows_in_its_counters() -> None:
    before = read_counters({0})
    burn(time.thread_time() + 0.1)
    for _ in range(10):
        time.sleep(0.001)
    with touched(64 * MIB):
        change = difference(before, read_counters({0}))
    assert change.user_s + change.system_s >= 0.1
    assert change.wall_s > 0
    assert change.voluntary_switches >= 10
    # Even in huge pages of 2 MiB, touching the memory takes this many faults.
    assert change.minor_faults >= 64 // 2 - 1


def test_a_pinned_busy_thread_is_reported_with_its_core_and_sleeping_ones_are_not() -> None:
    cpu = max(os.sched_getaffinity(0))
    go, done, leave = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        os.sched_setaffinity(0, {cpu})
        go.wait()
        burn(time.thread_time() + 0.3)
        done.set()
        leave.wait()

    threads = [threading.Thread(target=work), threading.Thread(target=leave.wait)]
    for thread in threads:
        thread.start()
    before = read_counters({cpu})
    go.set()
    done.wait()
    after = read_counters({cpu})
    # the thread of the test itself may be busy too, with reading
    found = busy(before, after)
    allowed = allowed_lists(found)
    leave.set()
    for thread in threads:
        thread.join()
    working, sleeping = (thread.native_id for thread in threads)
    assert working in found
    assert allowed[working] == str(cpu)
    assert sleeping not in found
    assert len(after.threads) >= 3


def test_a_thread_below_the_share_is_not_busy(tmp_path: Path) -> None:
    status = "/proc/self/task/{}/status"
    for thread, allowed in ((1, "0"), (2, "0-1"), (3, "7")):
        write(
            tmp_path,
            {status.format(thread): f"Name:\tx y\nCpus_allowed:\t3\nCpus_allowed_list:\t{allowed}"},
        )
    before = reading(10.0, 1e-9, t1=5.0, t2=0.0)
    after = reading(12.0, 1e-9, t1=5.09, t2=0.11, t3=2.0)
    assert busy_threads(before, after, root=tmp_path) == ("0-1", "7")
    assert busy_threads(before, after, share=0.5, root=tmp_path) == ("7",)
    assert busy_threads(before, after, share=0.04, root=tmp_path) == ("0", "0-1", "7")


def test_two_ticks_are_within_the_resolution_and_three_are_busy(tmp_path: Path) -> None:
    status = "/proc/self/task/{}/status"
    write(tmp_path, {status.format(thread): f"Cpus_allowed_list:\t{thread}" for thread in (1, 2)})
    before = reading(0.0, TICK, t1=0.0, t2=0.0)
    after = reading(0.02, TICK, t1=2 * TICK, t2=3 * TICK)
    assert busy_threads(before, after, root=tmp_path) == ("2",)


def test_a_thread_that_is_gone_is_left_out(tmp_path: Path) -> None:
    assert busy_threads(reading(0.0, 1e-9), reading(1.0, 1e-9, t1=1.0), root=tmp_path) == ()


def test_ticks_are_found_behind_a_name_with_spaces_and_brackets(tmp_path: Path) -> None:
    numbers = " ".join(str(number) for number in range(4, 14))
    stat = "/proc/self/task/{}/stat"
    write(
        tmp_path,
        {
            stat.format(7): f"7 (a) b (c)) S {numbers} 150 25 0 0 20",
            stat.format(31): f"31 (python) R {numbers} 10 0 0 0 20",
            "/proc/self/task/31/schedstat": "0 0 0",
            stat.format(8): f"8 (omp) R {numbers} 1 1 0 0 20",
            "/proc/self/task/8/schedstat": "1500000000 7 3",
            stat.format(9): "9 (torn",
        },
    )
    assert read_counters((), tmp_path).threads == (
        ThreadTime(thread=7, cpu_s=175 * TICK, resolution_s=TICK),
        ThreadTime(thread=8, cpu_s=1.5, resolution_s=1e-9, waited_s=7e-9),
        ThreadTime(thread=31, cpu_s=10 * TICK, resolution_s=TICK),
    )


def test_throttling_and_steal_are_read_with_the_other_counters(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/a")
    write(
        tmp_path,
        {
            "/sys/fs/cgroup/a/cpu.stat": "nr_throttled 4\nthrottled_usec 500000",
            "/proc/stat": "cpu 0 0 0 0 0 0 0 900\ncpu2 0 0 0 0 0 0 0 50 0 0\nintr 1",
        },
    )
    counters = read_counters({2}, tmp_path)
    assert (counters.throttled_periods, counters.throttled_s) == (4, 0.5)
    assert counters.steal_s == 50 * TICK


def test_steal_is_that_of_the_given_cpus_only(tmp_path: Path) -> None:
    lines = [f"cpu{cpu} 1 2 3 4 5 6 7 {ticks} 0 0" for cpu, ticks in ((0, 1), (1, 20), (11, 300))]
    write(tmp_path, {"/proc/stat": "\n".join(["cpu 0 0 0 0 0 0 0 321 0 0", *lines, "intr 5"])})
    assert steal_seconds({1}, tmp_path) == 20 * TICK
    assert steal_seconds({0, 11}, tmp_path) == 301 * TICK
    assert steal_seconds(None, tmp_path) == 321 * TICK


def test_peak_memory_falls_after_a_reset() -> None:
    with touched(96 * MIB):
        high = peak_memory()
    assert high >= 96 * MIB
    # The kernel's own count wavers by a few pages for each CPU.
    assert peak_memory() >= high - 4 * MIB
    assert reset_peak_memory()
    assert peak_memory() <= high - 64 * MIB


def test_a_kernel_that_does_not_reset_the_peak_is_told(tmp_path: Path) -> None:
    assert not reset_peak_memory(tmp_path)
    assert peak_memory(tmp_path) == 0


def test_a_child_is_killed_with_its_parent() -> None:
    child = (
        "import os, sys, time; from coresplit.machine.counters import die_with_parent\n"
        "die_with_parent(int(sys.argv[1])); print('ready', flush=True)\n"
        "time.sleep(20); print('survived', flush=True)"
    )
    parent = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
        # The pipe ends only when the grandchild is gone too.
        assert process.stdout.read() == ""


def test_a_child_whose_parent_is_gone_ends_at_once() -> None:
    code = (
        "from coresplit.machine.counters import die_with_parent\n"
        "die_with_parent(2**22 + 1); print('survived')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")


def test_a_child_of_a_living_parent_goes_on() -> None:
    code = f"from {die_with_parent.__module__} import die_with_parent; import os\n"
    code += f"die_with_parent({os.getpid()}); print('alive')"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "alive\n")
