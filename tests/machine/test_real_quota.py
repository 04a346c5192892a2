"""The quota and throttling of a real cgroup v1, where its cpu controller is writable."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

CHILD = """
import json, os, sys, time
from pathlib import Path
(Path(sys.argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
from coresplit.machine.cgroups import throttle_counters
from coresplit.machine.doctor.checks import examine
from coresplit.machine.counters import difference, read_counters
from coresplit.machine.inspection import inspect

machine = inspect(mask=range(int(sys.argv[2])))
before = read_counters([0])
if len(sys.argv) > 3:
    child = os.fork()
    end = time.monotonic() + 10
    while time.monotonic() < end and throttle_counters().periods - before.throttled_periods < 2:
        pass
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
change = difference(before, read_counters([0]))
print(json.dumps({
    "quota": machine.quota_cores,
    "usable": machine.usable,
    "advice": [advice.what for advice in examine(machine)],
    "throttled_periods": change.throttled_periods,
    "throttled_s": change.throttled_s,
}))
"""


def run_inside(group: Path, quota_us: int, *arguments: str) -> dict[str, object]:
    (group / "cpu.cfs_period_us").write_text("100000")
    (group / "cpu.cfs_quota_us").write_text(str(quota_us))
    command = [sys.executable, "-c", CHILD, str(group), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, object] = json.loads(ended.stdout)
    return answer


def test_a_process_under_one_and_a_half_cores_may_use_one(group: Path) -> None:
    answer = run_inside(group, 150_000, "2")
    assert (answer["quota"], answer["usable"]) == (1.5, 1)
    advice = answer["advice"]
    assert isinstance(advice, list)
    assert advice[0].startswith("the CPU quota is 1.5 cores: only 1 of 2 cores is used")


def test_two_busy_loops_under_half_a_core_are_seen_to_be_throttled(group: Path) -> None:
    answer = run_inside(group, 50_000, "2", "busy")
    assert (answer["quota"], answer["usable"]) == (0.5, 0)
    assert isinstance(answer["throttled_periods"], int)
    assert answer["throttled_periods"] >= 2
    assert isinstance(answer["throttled_s"], float)
    assert answer["throttled_s"] > 0


def test_a_quota_on_the_level_above_the_process_holds(
    group: Path, remove_group: Callable[[Path], None]
) -> None:
    inner = group / "inner"
    inner.mkdir()
    try:
        (group / "cpu.cfs_quota_us").write_text("250000")
        command = [sys.executable, "-c", CHILD, str(inner), "4"]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        answer = json.loads(ended.stdout)
    finally:
        remove_group(inner)
    assert (answer["quota"], answer["usable"]) == (2.5, 2)
