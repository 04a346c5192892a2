import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_trees import write

from coresplit.machine.inspection import inspect
from coresplit.machine.numa import (
    bind_memory,
    bound_nodes,
    free_memory,
    memory_can_be_bound,
    nodes_of,
)
from coresplit.records import Core, Machine

# System calls come back with EPERM as under Docker's filter: BPF (load nr, compare, return).
FORBIDDEN = """
import ctypes, struct
from coresplit.machine import numa

numbers = numa._CALLS[numa.platform.machine()]
program = struct.pack("HBBI", 0x20, 0, 0, 0)
for number in numbers:
    program += struct.pack("HBBI", 0x15, 0, 1, number) + struct.pack("HBBI", 0x06, 0, 0, 0x50001)
program += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
buffer = ctypes.create_string_buffer(program)
fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
library = ctypes.CDLL(None)
assert library.prctl(38, 1, 0, 0, 0) == 0
assert library.prctl(22, 2, ctypes.create_string_buffer(fprog)) == 0
print(numa.bind_memory((0,)), numa.bound_nodes(), numa.memory_can_be_bound())
"""
BOUND = """
import mmap, threading
from pathlib import Path
from coresplit.machine.numa import bind_memory, bound_nodes, memory_can_be_bound

assert bound_nodes() is None and memory_can_be_bound() and bound_nodes() is None
assert bind_memory([0])
seen = [bound_nodes()]
thread = threading.Thread(target=lambda: seen.append(bound_nodes()))
thread.start(); thread.join()
block = mmap.mmap(-1, 2**22)
for start in range(0, len(block), mmap.PAGESIZE):
    block[start] = 1
assert memory_can_be_bound() and bound_nodes() == (0,)
lines = Path("/proc/self/numa_maps").read_text().splitlines()
print(seen, sum("bind:0" in line for line in lines) > 0)
"""
ABSENT = """
from coresplit.machine.numa import bind_memory, bound_nodes
print(bind_memory([1023]), bound_nodes(), bind_memory([0, 1023]), bound_nodes(), bind_memory([]))
"""


def answer(code: str) -> str:
    if not memory_can_be_bound():
        pytest.skip("this kernel, or the container, does not let memory be bound")
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_memory_is_bound_to_a_node_for_this_thread_and_those_it_starts() -> None:
    assert answer(BOUND) == "[(0,), (0,)] True"


def test_a_node_that_is_not_there_leaves_memory_unbound() -> None:
    assert answer(ABSENT) == "False None False None False"


def test_a_container_that_forbids_the_calls_is_told_by_a_false() -> None:
    assert answer(FORBIDDEN) == "False None False"


def test_a_processor_whose_call_numbers_are_not_known_binds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    assert not bind_memory((0,))
    assert bound_nodes() is None
    assert not memory_can_be_bound()


@given(st.lists(st.integers(0, 7), min_size=1, max_size=32), st.data())
def test_the_nodes_of_cores_are_each_named_once_in_order(
    nodes: list[int], data: st.DataObject
) -> None:
    machine = Machine(
        cpu_model="x",
        cores=tuple(Core(cpu=10 * cpu, node=node) for cpu, node in enumerate(nodes)),
        usable=len(nodes),
        quota_cores=None,
        memory=1,
        memory_limit=None,
        kernel="6",
    )
    chosen = data.draw(st.sets(st.integers(0, len(nodes) - 1), min_size=1))
    found = nodes_of([10 * cpu for cpu in chosen], machine)
    assert found == tuple(sorted({nodes[cpu] for cpu in chosen}))


def test_the_cores_of_this_process_are_on_a_node_that_memory_can_be_bound_to() -> None:
    machine = inspect()
    nodes = nodes_of([core.cpu for core in machine.cores], machine)
    code = f"from coresplit.machine.numa import bind_memory; print(bind_memory({nodes}))"
    assert answer(code) == "True"


def test_free_memory_counts_only_the_nodes_asked_for(tmp_path: Path) -> None:
    lines = "Node {0} MemTotal: 900 kB\nNode {0} MemFree: {1} kB\nNode {0} Inactive(file): 20 kB\n"
    lines += (
        "Node {0} Active(file): 500 kB\nNode {0} SReclaimable: 3 kB\nNode {0} HugePages_Free: 7"
    )
    folder = "/sys/devices/system/node"
    write(
        tmp_path,
        {
            f"{folder}/has_memory": "0-1,3",
            **{f"{folder}/node{node}/meminfo": lines.format(node, 100 * node) for node in (0, 1)},
        },
    )
    assert free_memory((0,), tmp_path) == 23 * 1024
    assert free_memory((0, 1), tmp_path) == 146 * 1024
    assert free_memory((0, 1, 3), tmp_path) is None


def test_free_memory_is_not_limited_where_the_kernel_states_no_nodes(tmp_path: Path) -> None:
    assert free_memory((0,), tmp_path) is None
