from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import two_sockets

from coresplit.errors import UsageError
from coresplit.machine.placement import OVERRIDING_VARIABLES, place, thread_environment
from coresplit.machine.topology import physical_cores
from coresplit.records import Core, Mapping

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
    with pytest.raises(UsageError, match="3 threads need 3 physical cores, but 2 can be used"):
        place([Core(cpu=0), Core(cpu=1)], 3, "sequential")


def test_no_threads_are_refused() -> None:
    with pytest.raises(UsageError, match="0 threads cannot be placed"):
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


def test_nothing_that_is_set_is_also_to_be_unset() -> None:
    assert not set(thread_environment((0,))) & set(OVERRIDING_VARIABLES)
