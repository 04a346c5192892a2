from pathlib import Path

import msgspec
from machine_trees import GIB, hybrid, mount_v2, quiet_machine, two_sockets, write

from coresplit.machine.fingerprint import differences, fingerprint
from coresplit.machine.inspection import inspect
from coresplit.records import Core, Machine, ModelInfo, ModelInput

MODEL = ModelInfo(
    name="inception",
    title="Inception v3",
    inputs=(ModelInput(name="x", shape=(3, 299, 299)),),
    weights="sha256:12",
)


def test_a_plain_machine_is_recorded_whole(tmp_path: Path) -> None:
    assert inspect(quiet_machine(tmp_path), range(4)) == Machine(
        cpu_model="Intel(R) Xeon(R) X",
        cores=tuple(Core(cpu=cpu) for cpu in range(4)),
        usable=4,
        quota_cores=None,
        memory=32 * GIB,
        memory_limit=None,
        kernel="6.1.0-9-amd64",
        nodes=1,
        logical_cpus=4,
    )


def test_a_quota_of_one_and_a_half_cores_makes_one_core_usable(tmp_path: Path) -> None:
    mount_v2(two_sockets(tmp_path), "/box")
    write(
        tmp_path,
        {"/sys/fs/cgroup/box/cpu.max": "150000 100000", "/sys/fs/cgroup/box/memory.max": GIB},
    )
    machine = inspect(tmp_path, range(64))
    assert (machine.quota_cores, machine.usable, machine.usable_cores) == (1.5, 1, (0,))
    assert (machine.memory_limit, machine.nodes, machine.logical_cpus) == (GIB, 2, 64)
    assert len(machine.cores) == 32


def test_a_quota_under_one_core_makes_none_usable(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(tmp_path, {"/sys/fs/cgroup/box/cpu.max": "90000 100000"})
    machine = inspect(tmp_path, range(4))
    assert (machine.usable, machine.usable_cores) == (0, ())


def test_a_quota_above_the_cores_changes_nothing(tmp_path: Path) -> None:
    mount_v2(quiet_machine(tmp_path), "/box")
    write(tmp_path, {"/sys/fs/cgroup/box/cpu.max": "900000 100000"})
    assert inspect(tmp_path, {1, 3}).usable_cores == (1, 3)


def test_an_empty_tree_is_still_a_machine(tmp_path: Path) -> None:
    machine = inspect(tmp_path, {0, 1})
    assert (machine.cpu_model, machine.kernel, machine.memory) == ("unknown CPU", "unknown", 0)
    assert (machine.usable, machine.nodes, machine.logical_cpus) == (2, 1, 2)


def test_this_machine_can_be_inspected() -> None:
    machine = inspect()
    assert machine.cores
    assert machine.memory > 0
    assert machine.logical_cpus >= len(machine.cores)


def test_the_fingerprint_reads_as_a_person_would_say_it(tmp_path: Path) -> None:
    machine = inspect(quiet_machine(tmp_path), range(4))
    assert fingerprint(machine, {"torch": "2.13.0"}, MODEL) == {
        "CPU model": "Intel(R) Xeon(R) X",
        "usable cores": "4",
        "NUMA nodes": "1",
        "memory": "32 GiB",
        "kernel": "6.1.0-9-amd64",
        "torch": "2.13.0",
        "model": "inception",
        "inputs": "x=3x299x299:float32",
        "weights": "sha256:12",
    }


def test_a_little_memory_that_the_kernel_reserves_is_no_difference(tmp_path: Path) -> None:
    machine = inspect(quiet_machine(tmp_path), range(4))
    one, other = (
        fingerprint(msgspec.structs.replace(machine, memory=memory), {}, MODEL)
        for memory in (int(23.52 * GIB), int(23.48 * GIB))
    )
    assert (one["memory"], other["memory"]) == ("24 GiB", "23 GiB")
    assert differences(one, other) == []
    assert differences(one, {**other, "memory": "22 GiB"}) == ["memory: 24 GiB there, 22 GiB here"]
    assert differences(one, {**one, "memory": ""}) == ["memory: 24 GiB there, none here"]


def test_differences_name_what_is_there_and_what_is_here() -> None:
    there = {"kernel": "6.1", "torch": "2.11", "model": "inception", "weights": ""}
    here = {"kernel": "6.8", "numpy": "2.0", "model": "inception"}
    assert differences(there, here) == [
        "kernel: 6.1 there, 6.8 here",
        "torch: 2.11 there, none here",
        "numpy: none there, 2.0 here",
    ]


def test_fast_and_slow_cores_of_one_machine_are_not_taken_for_each_other(tmp_path: Path) -> None:
    root = hybrid(quiet_machine(tmp_path))
    fast, slow = (
        fingerprint(inspect(root, mask), {}, MODEL) for mask in (range(16), range(16, 24))
    )
    assert differences(fast, slow) == ["fast cores: 8 there, 0 here"]
