from pathlib import Path

import msgspec
import pytest
from machine_trees import (
    GIB,
    add_cores,
    eight_nodes,
    hybrid,
    mount_v2,
    quiet_machine,
    two_sockets,
    write,
)

from coresplit.machine.allocators import MALLOC_TUNABLES
from coresplit.machine.doctor.checks import Advice, examine
from coresplit.machine.doctor.memory import allocator_remedy
from coresplit.machine.inspection import inspect


def consult(
    root: Path,
    mask: range = range(4),
    environment: dict[str, str] | None = None,
    can_bind: bool = True,
) -> tuple[Advice, ...]:
    return examine(inspect(root, mask), root, environment or {}, lambda: can_bind)


def only(advice: tuple[Advice, ...]) -> Advice:
    assert len(advice) == 1, advice
    return advice[0]


def test_a_quiet_machine_gets_no_advice(tmp_path: Path) -> None:
    assert consult(quiet_machine(tmp_path)) == ()


def test_nothing_below_the_root_is_changed(tmp_path: Path) -> None:
    root = mount_v2(two_sockets(quiet_machine(tmp_path)), "/")
    before = {path: path.read_text() for path in root.rglob("*") if path.is_file()}
    consult(root)
    assert {path: path.read_text() for path in root.rglob("*") if path.is_file()} == before


def test_a_quota_of_one_and_a_half_of_two_cores_is_explained(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(tmp_path, {"/sys/fs/cgroup/box/cpu.max": "150000 100000"})
    advice = next(a for a in consult(tmp_path, range(2)) if "quota" in a.what)
    assert "CPU quota is 1.5 cores" in advice.what
    assert "1 of 2 cores" in advice.what
    assert "docker run --cpus 2" in advice.remedy
    assert advice.severity == "warning"


def test_a_quota_under_one_core_says_that_nothing_can_be_measured(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(tmp_path, {"/sys/fs/cgroup/box/cpu.max": "50000 100000"})
    advice = only(consult(tmp_path))
    assert "CPU quota is 0.5 cores" in advice.what
    assert "nothing can be measured" in advice.what
    assert advice.severity == "warning"


def test_a_quota_of_all_cores_is_no_matter(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(tmp_path, {"/sys/fs/cgroup/box/cpu.max": "400000 100000"})
    assert consult(tmp_path) == ()


@pytest.mark.parametrize(
    ("file", "what", "remedy", "severity"),
    [
        (
            ("/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave"),
            "the frequency governor is powersave on 1 of 4 cores",
            "cpupower frequency-set -g performance",
            "warning",
        ),
        (
            ("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"),
            "turbo is on",
            "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo",
            "note",
        ),
        (
            ("/sys/devices/system/cpu/cpufreq/boost", "1"),
            "turbo is on",
            "echo 0 > /sys/devices/system/cpu/cpufreq/boost",
            "note",
        ),
        (
            ("/proc/loadavg", "0.90 0.20 0.30 1/99 1234"),
            "the load average is 0.9 on 4 cores",
            "coresplit doctor again",
            "warning",
        ),
        (
            ("/proc/stat", "cpu  1000 0 1000 97000 900 0 0 3000 0 0"),
            "hypervisor took 2.9 %",
            "dedicated cores",
            "warning",
        ),
        (
            (
                "/proc/cpuinfo",
                "processor\t: 0\nflags\t\t: hypervisor avx_vnni amx_bf16\nbugs\t\t: x",
            ),
            "this is a virtual machine",
            "bare-metal",
            "note",
        ),
        (
            ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
            "madvise",
            "set THP_MEM_ALLOC_ENABLE=1",
            "note",
        ),
        (
            ("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]"),
            "never",
            "echo madvise >",
            "note",
        ),
        (
            (
                "/proc/meminfo",
                "MemAvailable: 9999999 kB\nSwapTotal: 1048576 kB\nSwapFree: 524288 kB",
            ),
            "512 MiB of swap",
            "swapoff -a",
            "warning",
        ),
        (
            ("/proc/meminfo", "MemAvailable: 1048576 kB"),
            "only 1.00 GiB of memory",
            "memory limit",
            "warning",
        ),
        (
            ("/usr/lib64/libc.so.6", ""),
            "default allocator is glibc's",
            "measure with another allocator; ",
            "note",
        ),
        (
            ("/proc/cpuinfo", "flags\t\t: avx2 avx512f avx512_vnni"),
            "no bfloat16 instructions (avx512_bf16, amx_bf16)",
            "leave out bf16",
            "note",
        ),
        (
            ("/proc/cpuinfo", "flags\t\t: avx2 avx512f avx512_bf16"),
            "no int8 instructions (avx512_vnni, avx_vnni, amx_int8)",
            "leave out int8",
            "note",
        ),
        (
            ("/proc/cpuinfo", "Features\t: asimd asimddp sve"),
            "no bfloat16 instructions (bf16)",
            "leave out bf16",
            "note",
        ),
        (
            ("/sys/devices/cpu_atom/cpus", "2-3"),
            "fast and slow cores",
            "taskset -c LIST",
            "warning",
        ),
    ],
)
def test_each_trouble_is_named_with_its_remedy(
    tmp_path: Path, file: tuple[str, str], what: str, remedy: str, severity: str
) -> None:
    write(quiet_machine(tmp_path), dict([("/sys/devices/cpu_core/cpus", "0-1"), file]))
    advice = only(consult(tmp_path))
    assert what in advice.what
    assert remedy in advice.remedy
    assert advice.severity == severity


def test_smt_and_a_narrow_mask_are_noted_of_a_big_machine(tmp_path: Path) -> None:
    two_sockets(quiet_machine(tmp_path))
    smt, mask = (one.what for one in consult(tmp_path, range(0, 16, 2)))
    assert "SMT is on: 8 of 8 physical cores" in smt
    assert "affinity mask" in mask
    assert "8 of the machine's 32 physical cores" in mask


def test_cores_on_several_nodes_are_to_be_measured_in_both_mappings(tmp_path: Path) -> None:
    advice = only(consult(eight_nodes(quiet_machine(tmp_path)), range(64)))
    assert advice.what.startswith("the usable cores are on 8 NUMA nodes")
    assert (advice.remedy, advice.option) == (
        "measure both placements",
        "mapping=sequential,interleave",
    )


def test_memory_that_cannot_be_bound_is_noted_on_several_nodes_only(tmp_path: Path) -> None:
    assert consult(quiet_machine(tmp_path), can_bind=False) == ()
    advice = consult(eight_nodes(tmp_path), range(64), can_bind=False)
    assert "binding memory to NUMA nodes" in advice[1].what
    assert "docker run --cap-add SYS_NICE" in advice[1].remedy


def test_a_processor_that_states_no_flags_is_not_judged(tmp_path: Path) -> None:
    write(quiet_machine(tmp_path), {"/proc/cpuinfo": "processor\t: 0\nisa\t: rv64imafdc"})
    assert consult(tmp_path) == ()


def test_a_hybrid_cpu_is_warned_about_before_any_note(tmp_path: Path) -> None:
    advice = consult(hybrid(quiet_machine(tmp_path)), range(24))
    assert [one.severity for one in advice] == ["warning", "note"]
    assert "8 of 16 physical cores" in advice[1].what


def test_a_memory_limit_is_named_where_little_is_left(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(
        tmp_path,
        {
            "/sys/fs/cgroup/box/memory.max": 3 * GIB,
            "/sys/fs/cgroup/box/memory.current": GIB,
        },
    )
    what = only(consult(tmp_path)).what
    assert "only 2.00 GiB" in what
    assert "a limit of 3.00 GiB" in what


def test_variables_that_an_instance_does_not_inherit_are_listed(tmp_path: Path) -> None:
    environment = {
        "OMP_NUM_THREADS": "4",
        "KMP_AFFINITY": "compact",
        "HOME": "/",
        "LD_PRELOAD": "/usr/lib/libtcmalloc_minimal.so.4",
        "GLIBC_TUNABLES": "glibc.cpu.x86_shstk=off",
    }
    advice = only(consult(quiet_machine(tmp_path), environment=environment))
    assert "OMP_NUM_THREADS, KMP_AFFINITY, LD_PRELOAD;" in advice.what
    assert advice.remedy.endswith("unset OMP_NUM_THREADS KMP_AFFINITY LD_PRELOAD")


def test_another_allocator_in_the_environment_does_not_change_what_the_default_is(
    tmp_path: Path,
) -> None:
    write(quiet_machine(tmp_path), {"/lib64/libc.so.6": ""})
    tuned = {"GLIBC_TUNABLES": MALLOC_TUNABLES}
    variables, allocator = (one.what for one in consult(tmp_path, environment=tuned))
    assert "set in the environment: GLIBC_TUNABLES" in variables
    assert "default allocator is glibc's" in allocator


def test_huge_pages_on_request_are_no_matter_where_they_are_requested(tmp_path: Path) -> None:
    enabled = {"/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never"}
    write(quiet_machine(tmp_path), enabled)
    assert consult(tmp_path, environment={"THP_MEM_ALLOC_ENABLE": "1"}) == ()
    assert len(consult(tmp_path, environment={"THP_MEM_ALLOC_ENABLE": "0"})) == 1


def test_allocators_that_are_there_are_named_for_measuring_and_the_rest_for_installing(
    tmp_path: Path,
) -> None:
    write(
        tmp_path,
        {
            "/usr/lib64/libc.so.6": "",
            "/usr/lib64/libtcmalloc_minimal.so.4": "",
            "/etc/os-release": "ID=ubuntu",
        },
    )
    measure, tuned, tcmalloc, jemalloc = allocator_remedy(tmp_path).split("; ")
    assert measure == "measure with another allocator"
    assert f"GLIBC_TUNABLES={MALLOC_TUNABLES}" in tuned
    assert "LD_PRELOAD=/usr/lib64/libtcmalloc_minimal.so.4" in tcmalloc
    assert "apt install libjemalloc2" in jemalloc


def test_load_counts_all_cores_of_the_machine_not_only_those_of_the_mask(tmp_path: Path) -> None:
    add_cores(quiet_machine(tmp_path), [(cpu,) for cpu in range(16)], [0] * 16, [0] * 16)
    write(tmp_path, {"/proc/loadavg": "3.00 0.20 0.30 1/99 1234"})
    assert "4 of the machine's 16 physical cores" in only(consult(tmp_path)).what


def test_this_machine_can_be_examined() -> None:
    for advice in examine(inspect()):
        assert advice.what
        assert advice.remedy
        assert msgspec.json.encode(advice)
