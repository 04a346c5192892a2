from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import add_cores, hybrid, two_sockets, write

from coresplit.format import format_numbers
from coresplit.machine.topology import (
    NOT_STATED,
    cpu_flags,
    cpu_model,
    last_level_cache,
    node_lists,
    parse_cpu_list,
    physical_cores,
    siblings,
)


@given(st.sets(st.integers(0, 4095)))
def test_every_set_of_cpus_survives_being_written_as_a_kernel_list(cpus: set[int]) -> None:
    assert parse_cpu_list(format_numbers(tuple(sorted(cpus))) if cpus else "\n") == tuple(
        sorted(cpus)
    )


@given(st.text(alphabet="0123456789-, \n٣x", max_size=12))
def test_any_text_is_an_ascending_list_or_refused(text: str) -> None:
    try:
        cpus = parse_cpu_list(text)
    except ValueError as error:
        assert "is not a kernel CPU list" in str(error)
    else:
        assert list(cpus) == sorted(set(cpus))


def test_a_list_with_gaps_is_parsed() -> None:
    assert parse_cpu_list("0-3,8,10-11\n") == (0, 1, 2, 3, 8, 10, 11)


@pytest.mark.parametrize("text", ["3-1", "0-", ",", "0,,2", "a", "-1", "0x3"])
def test_a_damaged_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a kernel CPU list"):
        parse_cpu_list(text)


def test_two_sockets_with_smt_are_32_cores_that_fill_the_first_socket_first(
    tmp_path: Path,
) -> None:
    cores = physical_cores(range(64), two_sockets(tmp_path))
    assert [core.cpu for core in cores] == [*range(0, 32, 2), *range(1, 32, 2)]
    assert [core.package for core in cores] == [0] * 16 + [1] * 16
    assert [core.node for core in cores] == [0] * 16 + [1] * 16


def test_one_socket_of_64_cores_keeps_its_eight_nodes_together(tmp_path: Path) -> None:
    nodes = [cpu % 8 for cpu in range(64)]
    root = add_cores(tmp_path, [(cpu,) for cpu in range(64)], [0] * 64, nodes)
    cores = physical_cores(range(64), root)
    assert len(node_lists(root)) == 8
    assert [core.node for core in cores] == [node for node in range(8) for _ in range(8)]
    assert [core.cpu for core in cores[:9]] == [0, 8, 16, 24, 32, 40, 48, 56, 1]


def test_a_hybrid_cpu_has_a_core_for_every_fast_pair_and_every_slow_one(tmp_path: Path) -> None:
    root = hybrid(tmp_path)
    cores = physical_cores(range(24), root)
    assert [core.cpu for core in cores] == [*range(0, 16, 2), *range(16, 24)]
    assert [core.kind for core in cores] == ["fast"] * 8 + ["slow"] * 8


def test_fast_cores_come_first_whatever_their_numbers(tmp_path: Path) -> None:
    root = add_cores(tmp_path, [(0,), (1,), (2, 3), (4, 5)], [0] * 4, [0] * 4)
    write(root, {"/sys/devices/cpu_core/cpus": "2-5", "/sys/devices/cpu_atom/cpus": "0-1"})
    assert [(core.cpu, core.kind) for core in physical_cores(range(6), root)] == [
        (2, "fast"),
        (4, "fast"),
        (0, "slow"),
        (1, "slow"),
    ]


def test_cores_that_intel_lists_as_neither_kind_are_slow(tmp_path: Path) -> None:
    root = hybrid(tmp_path)
    add_cores(root, [(24,), (25,)], [0] * 2, [0] * 2)
    assert {core.kind for core in physical_cores({24, 25}, root)} == {"slow"}


def test_arm_cores_of_unlike_capacity_are_told_apart(tmp_path: Path) -> None:
    capacity = "/sys/devices/system/cpu/cpu{}/cpu_capacity"
    write(
        tmp_path,
        {
            **{capacity.format(cpu): (250, 512, 1024)[cpu // 2] for cpu in range(6)},
            "/sys/devices/system/cpu/online": "0-5",
        },
    )
    cores = physical_cores(range(6), tmp_path)
    assert [core.cpu for core in cores] == [4, 5, 0, 1, 2, 3]
    assert [core.kind for core in cores] == ["fast"] * 2 + ["slow"] * 4
    assert [core.kind for core in physical_cores({2, 3}, tmp_path)] == ["slow"] * 2


def test_cores_of_one_kind_have_none(tmp_path: Path) -> None:
    capacity = "/sys/devices/system/cpu/cpu{}/cpu_capacity"
    write(tmp_path, {capacity.format(cpu): 1024 for cpu in range(4)})
    assert {core.kind for core in physical_cores(range(4), tmp_path)} == {""}


def test_siblings_fold_to_the_lowest_one_inside_a_mask_with_gaps(tmp_path: Path) -> None:
    cores = physical_cores({2, 34, 5, 40, 41, 9}, two_sockets(tmp_path))
    assert [(core.cpu, core.package) for core in cores] == [(2, 0), (40, 0), (5, 1), (9, 1)]
    assert siblings(40, tmp_path) == (8, 40)


def test_an_older_kernel_that_lists_thread_siblings_gives_the_same_cores(tmp_path: Path) -> None:
    root = add_cores(tmp_path, [(0, 2), (1, 3)], [0, 0], [0, 0], "thread_siblings_list")
    assert [core.cpu for core in physical_cores(range(4), root)] == [0, 1]


def test_core_ids_tell_cores_apart_where_no_siblings_are_listed(tmp_path: Path) -> None:
    folder = "/sys/devices/system/cpu/cpu{}/topology"
    for cpu, (package, core) in enumerate([(0, 0), (1, 0), (0, 0), (1, 0)]):
        write(
            tmp_path,
            {
                f"{folder.format(cpu)}/physical_package_id": package,
                f"{folder.format(cpu)}/core_id": core,
            },
        )
    assert [(core.cpu, core.package) for core in physical_cores(range(4), tmp_path)] == [
        (0, 0),
        (1, 1),
    ]


def test_unknown_core_and_package_ids_leave_every_cpu_a_core(tmp_path: Path) -> None:
    folder = "/sys/devices/system/cpu/cpu{}/topology"
    for cpu in range(2):
        write(
            tmp_path,
            {
                f"{folder.format(cpu)}/physical_package_id": -1,
                f"{folder.format(cpu)}/core_id": -1,
            },
        )
    cores = physical_cores(range(2), tmp_path)
    assert [(core.cpu, core.package) for core in cores] == [(0, 0), (1, 0)]


def test_without_sysfs_every_logical_cpu_is_a_core(tmp_path: Path) -> None:
    cores = physical_cores({7, 3}, tmp_path)
    assert [(core.cpu, core.package, core.node) for core in cores] == [(3, 0, 0), (7, 0, 0)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: AMD EPYC   9654\nmodel\t: 17", "AMD EPYC 9654"),
        (
            "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n",
            "Arm Neoverse V1, implementer 0x41",
        ),
        (
            "CPU implementer\t: 0x61\nCPU part\t: 0x022\n",
            "Arm part 0x022, implementer 0x61",
        ),
        ("processor\t: 0\ncpu\t\t: POWER9, altivec supported", "POWER9, altivec supported"),
        ("processor\t: 0", "unknown CPU"),
    ],
)
def test_the_cpu_is_named_on_every_architecture(tmp_path: Path, text: str, name: str) -> None:
    assert cpu_model(write(tmp_path, {"/proc/cpuinfo": text})) == name


def test_a_machine_without_cpuinfo_has_an_unknown_cpu(tmp_path: Path) -> None:
    assert cpu_model(tmp_path) == "unknown CPU"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu amx_tile avx2 avx512f sse avx512_vnni amx_int8 xsave\n"
            "processor\t: 1\nflags\t\t: avx512_bf16",
            ("amx_int8", "amx_tile", "avx2", "avx512_vnni", "avx512f"),
        ),
        (
            "processor\t: 0\nFeatures\t: fp asimd crc32 asimddp sve sve2 i8mm bf16",
            ("asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),
        ),
        ("processor\t: 0\nisa\t: rv64imafdc", ()),
    ],
)
def test_instruction_sets_that_decide_the_speed_are_named(
    tmp_path: Path, text: str, flags: tuple[str, ...]
) -> None:
    assert cpu_flags(write(tmp_path, {"/proc/cpuinfo": text})) == flags


CACHE = "/sys/devices/system/cpu/cpu0/cache"


def test_the_largest_cache_is_the_last_one(tmp_path: Path) -> None:
    sizes = {"index0": "32K", "index1": "32K", "index2": "2048K", "index3": "36M"}
    write(tmp_path, {f"{CACHE}/{name}/size": size for name, size in sizes.items()})
    assert last_level_cache(tmp_path) == 36 * 2**20


@pytest.mark.parametrize("size", [None, "", "0K", "-1", "much"])
def test_a_cache_of_no_stated_size_is_taken_for_a_usual_one(
    tmp_path: Path, size: str | None
) -> None:
    write(tmp_path, {} if size is None else {f"{CACHE}/index3/size": size})
    assert last_level_cache(tmp_path) == NOT_STATED == 64 * 2**20
