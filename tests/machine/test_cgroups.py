from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import GIB, mount_v1, mount_v2, write

from coresplit.machine.cgroups import (
    Throttling,
    available_memory,
    cpu_levels,
    cpu_quota,
    memory_limit,
    parse_cpu_max,
    throttle_counters,
)

NO_LIMIT_V1 = 9223372036854771712


@given(st.integers(1, 10**9), st.integers(1, 10**6))
def test_every_quota_and_period_gives_their_ratio_in_cores(quota: int, period: int) -> None:
    assert parse_cpu_max(f"{quota} {period}\n") == quota / period
    assert parse_cpu_max(f"max {period}\n") is None


@given(st.text(alphabet="0123456789max -.\t٣", max_size=14))
def test_any_text_is_a_quota_that_is_not_negative_or_refused(text: str) -> None:
    try:
        quota = parse_cpu_max(text)
    except ValueError as error:
        assert "is not a cpu.max" in str(error)
    else:
        assert quota is None or quota >= 0


@pytest.mark.parametrize("text", ["", "100000 0", "-1 100000", "maximum", "1.5", "max max"])
def test_a_damaged_quota_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a cpu\.max"):
        parse_cpu_max(text)


def test_a_quota_without_a_period_uses_the_default_of_100_ms() -> None:
    assert parse_cpu_max("250000") == 2.5


def test_v2_takes_the_tight_quota_of_a_middle_level(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/kubepods/pod7/box")
    write(
        tmp_path,
        {
            "/sys/fs/cgroup/kubepods/cpu.max": "800000 100000",
            "/sys/fs/cgroup/kubepods/pod7/cpu.max": "150000 100000",
            "/sys/fs/cgroup/kubepods/pod7/box/cpu.max": "max 100000",
            "/sys/fs/cgroup/kubepods/other/cpu.max": "10000 100000",
        },
    )
    assert cpu_quota(tmp_path) == 1.5
    top = tmp_path / "sys/fs/cgroup"
    pod = top / "kubepods/pod7"
    assert cpu_levels(tmp_path) == (pod / "box", pod, top / "kubepods", top)


def test_v2_without_any_quota_has_none(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/user.slice")
    write(tmp_path, {"/sys/fs/cgroup/user.slice/cpu.max": "max 100000"})
    assert cpu_quota(tmp_path) is None


def test_v1_takes_the_tightest_level_and_reads_minus_one_as_none(tmp_path: Path) -> None:
    mount_v1(tmp_path, "/slurm/job/step")
    top = "/sys/fs/cgroup/cpu,cpuacct"
    write(
        tmp_path,
        {
            f"{top}/slurm/cpu.cfs_quota_us": 100000,
            f"{top}/slurm/cpu.cfs_period_us": 50000,
            f"{top}/slurm/job/cpu.cfs_quota_us": 900000,
            f"{top}/slurm/job/cpu.cfs_period_us": 100000,
            f"{top}/slurm/job/step/cpu.cfs_quota_us": -1,
            f"{top}/slurm/job/step/cpu.cfs_period_us": 100000,
        },
    )
    assert cpu_quota(tmp_path) == 2.0


def test_docker_without_a_namespace_falls_back_to_the_mount_root(tmp_path: Path) -> None:
    mount_v1(tmp_path, "/docker/abc", shown="/docker/abc")
    top = "/sys/fs/cgroup/cpu,cpuacct"
    write(tmp_path, {f"{top}/cpu.cfs_quota_us": 350000, f"{top}/cpu.cfs_period_us": 100000})
    assert cpu_quota(tmp_path) == 3.5
    assert cpu_levels(tmp_path) == (tmp_path / top.lstrip("/"),)


def test_a_path_that_is_not_visible_below_the_mount_falls_back_to_its_root(tmp_path: Path) -> None:
    mount_v1(tmp_path, "/docker/abc", shown="/")
    top = "/sys/fs/cgroup/cpu,cpuacct"
    write(tmp_path, {f"{top}/cpu.cfs_quota_us": 350000, f"{top}/cpu.cfs_period_us": 100000})
    assert cpu_quota(tmp_path) == 3.5


@pytest.mark.parametrize(("path", "shown"), [("/../sibling", "/"), ("/elsewhere", "/docker/abc")])
def test_a_path_outside_of_the_namespace_reads_only_the_mount_root(
    tmp_path: Path, path: str, shown: str
) -> None:
    mount_v2(tmp_path, path, shown)
    write(
        tmp_path,
        {
            "/sys/fs/cgroup/cpu.max": "200000 100000",
            "/sys/fs/cgroup/elsewhere/cpu.max": "100000 100000",
            "/sys/fs/sibling/cpu.max": "100000 100000",
        },
    )
    assert cpu_quota(tmp_path) == 2.0


def test_a_hybrid_machine_takes_the_smaller_of_both_versions(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "/proc/self/cgroup": "1:cpu:/a\n0::/b",
            "/proc/self/mountinfo": "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
            "41 31 0:38 / /cg/my\\040unified rw - cgroup2 cgroup2 rw",
            "/cg/cpu/a/cpu.cfs_quota_us": 300000,
            "/cg/cpu/a/cpu.cfs_period_us": 100000,
            "/cg/my unified/b/cpu.max": "250000 100000",
        },
    )
    assert cpu_quota(tmp_path) == 2.5


def test_of_two_mounts_of_a_hierarchy_the_one_that_shows_more_levels_counts(
    tmp_path: Path,
) -> None:
    write(
        tmp_path,
        {
            "/proc/self/cgroup": "0::/a/b",
            "/proc/self/mountinfo": "1 0 0:1 /a/b /inner rw - cgroup2 cgroup2 rw\n"
            "2 0 0:1 / /outer rw - cgroup2 cgroup2 rw",
            "/inner/cpu.max": "max 100000",
            "/outer/a/cpu.max": "100000 100000",
            "/outer/a/b/cpu.max": "max 100000",
        },
    )
    assert cpu_quota(tmp_path) == 1.0


def test_a_machine_without_cgroups_has_no_limits(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert memory_limit(tmp_path) is None
    assert throttle_counters(tmp_path) == Throttling(periods=0, seconds=0.0)
    assert available_memory(tmp_path) == 0


def test_v1_memory_is_limited_by_the_tightest_level_and_the_huge_value_is_none(
    tmp_path: Path,
) -> None:
    mount_v1(tmp_path, "/a/b")
    name = "memory.limit_in_bytes"
    write(
        tmp_path,
        {
            f"/sys/fs/cgroup/memory/{name}": NO_LIMIT_V1,
            f"/sys/fs/cgroup/memory/a/b/{name}": NO_LIMIT_V1,
        },
    )
    assert memory_limit(tmp_path) is None
    write(tmp_path, {f"/sys/fs/cgroup/memory/a/{name}": 3 * GIB})
    assert memory_limit(tmp_path) == 3 * GIB


def test_v2_memory_max_and_high_both_limit(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/a")
    write(tmp_path, {"/sys/fs/cgroup/a/memory.max": 4 * GIB})
    assert memory_limit(tmp_path) == 4 * GIB
    write(tmp_path, {"/sys/fs/cgroup/a/memory.high": "max"})
    assert memory_limit(tmp_path) == 4 * GIB
    write(tmp_path, {"/sys/fs/cgroup/a/memory.high": 3 * GIB})
    assert memory_limit(tmp_path) == 3 * GIB


def test_available_memory_is_that_of_the_machine_without_a_limit(tmp_path: Path) -> None:
    write(tmp_path, {"/proc/meminfo": "MemTotal: 9 kB\nMemFree: 5 kB\nMemAvailable: 7 kB"})
    assert available_memory(tmp_path) == 7 * 1024


def test_available_memory_counts_inactive_cache_of_a_limited_v2_level_as_free(
    tmp_path: Path,
) -> None:
    mount_v2(tmp_path, "/a/b")
    write(
        tmp_path,
        {
            "/proc/meminfo": f"MemAvailable: {32 * GIB // 1024} kB",
            "/sys/fs/cgroup/a/memory.max": 8 * GIB,
            "/sys/fs/cgroup/a/memory.current": 5 * GIB,
            "/sys/fs/cgroup/a/memory.stat": f"anon 1\ninactive_file {GIB}\nactive_file 2",
            "/sys/fs/cgroup/a/b/memory.max": 16 * GIB,
            "/sys/fs/cgroup/a/b/memory.current": 4 * GIB,
        },
    )
    assert available_memory(tmp_path) == 4 * GIB


def test_available_memory_of_v1_uses_the_cache_of_the_whole_subtree(tmp_path: Path) -> None:
    mount_v1(tmp_path, "/a")
    write(
        tmp_path,
        {
            "/proc/meminfo": f"MemAvailable: {32 * GIB // 1024} kB",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": 8 * GIB,
            "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": 5 * GIB,
            "/sys/fs/cgroup/memory/a/memory.stat": "inactive_file 0\n"
            f"total_inactive_file {2 * GIB}",
        },
    )
    assert available_memory(tmp_path) == 5 * GIB


def test_a_cgroup_over_its_limit_leaves_no_memory(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/a")
    write(
        tmp_path,
        {
            "/proc/meminfo": "MemAvailable: 1000 kB",
            "/sys/fs/cgroup/a/memory.max": GIB,
            "/sys/fs/cgroup/a/memory.current": 2 * GIB,
        },
    )
    assert available_memory(tmp_path) == 0


def test_throttling_of_a_quiet_level_shows_beside_one_with_a_large_count(tmp_path: Path) -> None:
    mount_v2(tmp_path, "/a/b")
    stat = "/sys/fs/cgroup/a{}/cpu.stat"
    old = "usage_usec 9\nnr_periods 70\nnr_throttled 60\nthrottled_usec 5000000"
    write(tmp_path, {stat.format(""): old, stat.format("/b"): "nr_throttled 0"})
    assert throttle_counters(tmp_path) == Throttling(periods=60, seconds=5.0)
    write(tmp_path, {stat.format("/b"): "nr_throttled 1\nthrottled_usec 20000"})
    assert throttle_counters(tmp_path) == Throttling(periods=61, seconds=5.02)


def test_throttled_time_of_v1_is_in_nanoseconds(tmp_path: Path) -> None:
    mount_v1(tmp_path, "/a")
    stat = "nr_periods 9\nnr_throttled 3\nthrottled_time 250000000"
    write(tmp_path, {"/sys/fs/cgroup/cpu,cpuacct/a/cpu.stat": stat})
    assert throttle_counters(tmp_path) == Throttling(periods=3, seconds=0.25)
