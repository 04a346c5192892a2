from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import add_cores, eight_nodes, hybrid, sub_clusters, two_sockets

from coresplit.errors import UsageError
from coresplit.machine.inspection import inspect
from coresplit.machine.numa import nodes_of
from coresplit.machine.placement import place, thread_environment
from coresplit.machine.topology import physical_cores
from coresplit.records import Core, Mapping


def gapped(root: Path) -> Path:
    """2 sockets x 8 cores, of which a container may use 0-3,8-11."""
    sockets = [cpu // 8 for cpu in range(16)]
    return add_cores(root, [(cpu,) for cpu in range(16)], sockets, sockets)


# Machine, mask, mapping, threads, the CPUs they get and the nodes of these.
PLACES: list[tuple[Callable[[Path], Path], Collection[int], Mapping, int, str, tuple[int, ...]]] = [
    (two_sockets, range(64), "sequential", 1, "0", (0,)),
    (two_sockets, range(64), "sequential", 16, "0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30", (0,)),
    (
        two_sockets,
        range(64),
        "sequential",
        18,
        f"{' '.join(map(str, range(0, 32, 2)))} 1 3",
        (0, 1),
    ),
    (two_sockets, range(64), "interleave", 1, "0", (0,)),
    (two_sockets, range(64), "interleave", 5, "0 1 2 3 4", (0, 1)),
    (two_sockets, range(64), "interleave", 32, " ".join(map(str, range(32))), (0, 1)),
    (two_sockets, range(1, 64, 2), "sequential", 2, "1 3", (1,)),
    (two_sockets, range(32, 64), "interleave", 3, "32 33 34", (0, 1)),
    (eight_nodes, range(64), "sequential", 9, "0 1 2 3 4 5 6 7 8", (0, 1)),
    (eight_nodes, range(64), "interleave", 4, "0 8 16 24", (0, 1, 2, 3)),
    (eight_nodes, range(64), "interleave", 10, "0 8 16 24 32 40 48 56 1 9", tuple(range(8))),
    (eight_nodes, range(4, 20), "interleave", 6, "4 8 16 5 9 17", (0, 1, 2)),
    (hybrid, range(24), "sequential", 8, "0 2 4 6 8 10 12 14", (0,)),
    (hybrid, range(24), "sequential", 10, "0 2 4 6 8 10 12 14 16 17", (0,)),
    (hybrid, range(15, 24), "sequential", 2, "15 16", (0,)),
    (gapped, {0, 1, 2, 3, 8, 9, 10, 11}, "sequential", 6, "0 1 2 3 8 9", (0, 1)),
    (gapped, {0, 1, 2, 3, 8, 9, 10, 11}, "interleave", 3, "0 8 1", (0, 1)),
    (sub_clusters, range(28), "sequential", 5, "0 1 2 3 4", (0, 1)),
    (sub_clusters, range(28), "sequential", 14, " ".join(map(str, range(14))), (0, 1, 2, 3)),
    (sub_clusters, range(28), "interleave", 4, "0 8 4 12", (0, 1, 2, 3)),
    (sub_clusters, range(28), "interleave", 14, "0 8 4 12 1 9 5 13 2 10 6 11 3 7", (0, 1, 2, 3)),
    (sub_clusters, range(8, 14), "interleave", 6, "8 12 9 13 10 11", (2, 3)),
]


@pytest.mark.parametrize(("machine", "mask", "mapping", "threads", "cpus", "nodes"), PLACES)
def test_threads_sit_where_the_mapping_says_on_recorded_machines(
    tmp_path: Path,
    machine: Callable[[Path], Path],
    *,
    mask: Collection[int],
    mapping: Mapping,
    threads: int,
    cpus: str,
    nodes: tuple[int, ...],
) -> None:
    found = inspect(machine(tmp_path), mask)
    placed = place(found.cores, threads, mapping)
    assert " ".join(map(str, placed)) == cpus
    assert nodes_of(placed, found) == nodes


@pytest.mark.parametrize(
    ("machine", "mask"),
    [(hybrid, range(24)), (gapped, range(8)), (two_sockets, range(0, 64, 2))],
)
def test_interleave_is_refused_where_the_mask_holds_one_node(
    tmp_path: Path, machine: Callable[[Path], Path], mask: range
) -> None:
    with pytest.raises(UsageError, match="needs cores on two NUMA nodes"):
        place(inspect(machine(tmp_path), mask).cores, 2, "interleave")


def test_a_node_without_cpus_is_no_node_to_place_on(tmp_path: Path) -> None:
    found = inspect(sub_clusters(tmp_path), range(28))
    assert (len(found.cores), found.nodes) == (14, 4)


cores_of_machines = st.lists(
    st.builds(Core, cpu=st.integers(0, 255), package=st.integers(0, 1), node=st.integers(0, 3)),
    min_size=1,
    max_size=24,
    unique_by=lambda core: core.cpu,
)


@given(cores_of_machines, st.data(), st.sampled_from(["sequential", "interleave"]))
def test_threads_sit_on_distinct_cores_of_the_mask(
    cores: list[Core], data: st.DataObject, mapping: Mapping
) -> None:
    threads = data.draw(st.integers(1, len(cores)))
    if mapping == "interleave" and len({(core.package, core.node) for core in cores}) < 2:
        with pytest.raises(UsageError, match="two NUMA nodes"):
            place(cores, threads, mapping)
        return
    cpus = place(cores, threads, mapping)
    assert len(cpus) == len(set(cpus)) == threads
    assert set(cpus) <= {core.cpu for core in cores}


@given(cores_of_machines, st.data())
def test_interleaving_uses_both_sockets_as_evenly_as_they_allow(
    cores: list[Core], data: st.DataObject
) -> None:
    package_of = {core.cpu: core.package for core in cores}
    sizes = [list(package_of.values()).count(package) for package in (0, 1)]
    if min(sizes) == 0:
        return
    threads = data.draw(st.integers(1, 2 * min(sizes)))
    used = [package_of[cpu] for cpu in place(cores, threads, "interleave")]
    assert abs(used.count(0) - used.count(1)) <= 1


def test_sequential_fills_a_socket_and_interleave_alternates(tmp_path: Path) -> None:
    cores = physical_cores(range(64), two_sockets(tmp_path))
    assert place(cores, 4, "sequential") == (0, 2, 4, 6)
    assert place(cores, 18, "sequential")[-3:] == (30, 1, 3)
    assert place(cores, 4, "interleave") == (0, 1, 2, 3)


def test_interleave_takes_sockets_before_the_nodes_within_one() -> None:
    cores = [
        Core(cpu=cpu, package=cpu // 4, node=cpu // 2) for cpu in range(8)
    ]  # two sockets of two nodes of two cores
    assert place(cores, 8, "interleave") == (0, 4, 2, 6, 1, 5, 3, 7)


def test_interleave_on_one_node_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="all usable cores are on one; use sequential"):
        place([Core(cpu=0), Core(cpu=1)], 2, "interleave")


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(UsageError, match="3 threads need 3 physical cores, but only 2"):
        place([Core(cpu=0), Core(cpu=1)], 3, "sequential")


def test_no_threads_are_refused() -> None:
    with pytest.raises(UsageError, match="cannot place 0 threads"):
        place([Core(cpu=0)], 0, "sequential")


def test_the_environment_names_one_place_for_each_thread_in_order() -> None:
    assert thread_environment((4, 0, 2)) == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "OPENBLAS_NUM_THREADS": "3",
        "OMP_PLACES": "{4},{0},{2}",
        "OMP_PROC_BIND": "close",
        "OMP_DYNAMIC": "false",
        "MKL_DYNAMIC": "FALSE",
    }
