"""Which CPUs a server is bound to, from a recorded /proc."""

import os
import socket
from pathlib import Path

from coresplit.machine.listening import server_cpus

ALL = frozenset(range(4))
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  inode"


def process(root: Path, pid: int, parent: int, masks: list[str], inode: int | None = None) -> None:
    folder = root / "proc" / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a) b) S {parent} 0 0")
    if inode is not None:
        (folder / "fd" / "3").symlink_to(f"socket:[{inode}]")
    for number, mask in enumerate(masks):
        task = folder / "task" / str(pid + number)
        task.mkdir(parents=True)
        (task / "status").write_text(f"Name:\ta\nCpus_allowed_list:\t{mask}\n")


def listening(root: Path, port: int, inode: int, state: str = "0A") -> None:
    folder = root / "proc" / "net"
    folder.mkdir(parents=True)
    line = f"   0: 0100007F:{port:04X} 00000000:0000 {state} 00000000:00000000 00:0 0 0 0 {inode} 1"
    (folder / "tcp").write_text(f"{HEAD}\n{line}\n")


def test_a_server_is_where_its_instances_are_bound(tmp_path: Path) -> None:
    listening(tmp_path, 8080, 77)
    process(tmp_path, 10, 1, ["0-3"], 77)
    process(tmp_path, 20, 10, ["1", "1"])
    process(tmp_path, 30, 20, ["2"])
    process(tmp_path, 40, 1, ["3"])
    assert server_cpus(8080, ALL, tmp_path) == {1, 2}
    assert server_cpus(8081, ALL, tmp_path) == frozenset()


def test_a_server_that_is_bound_to_nothing_may_be_anywhere(tmp_path: Path) -> None:
    listening(tmp_path, 8080, 77)
    process(tmp_path, 10, 1, ["0-3", "0-7"], 77)
    assert server_cpus(8080, ALL, tmp_path) == ALL


def test_a_client_of_the_port_is_no_server(tmp_path: Path) -> None:
    listening(tmp_path, 8080, 77, state="01")
    process(tmp_path, 10, 1, ["1"], 77)
    assert server_cpus(8080, ALL, tmp_path) == frozenset()


def test_this_machine_is_read_too() -> None:
    mask = frozenset(os.sched_getaffinity(0))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        found = server_cpus(one.getsockname()[1], mask)
    assert found
    assert found <= mask
