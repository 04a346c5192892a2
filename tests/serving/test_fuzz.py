"""A real server stands damaged requests; ``fuzz.py`` is the command for many more of them."""

from pathlib import Path

import pytest
from fuzz import FAKE, fuzz, served
from fuzz_cases import KINDS, case

COUNT = 5000


def test_cases_are_made_by_their_number_alone() -> None:
    made = [case(3, number) for number in range(200)]
    assert made == [case(3, number) for number in range(200)]
    assert made != [case(4, number) for number in range(200)]
    assert {each.kind for each in [case(1, number) for number in range(COUNT)]} == set(KINDS)


def test_thousands_of_damaged_requests_leave_a_server_as_it_was(tmp_path: Path) -> None:
    with served(tmp_path, real=False) as server:
        assert FAKE in server.process.args  # type: ignore[operator]
        found = fuzz(server, COUNT, seed=1)
    assert found.wrong == []
    assert sum(found.kinds.values()) == COUNT
    assert found.statuses[200] > COUNT / 2
    assert {400, 401, 404, 405, 413, 415, 417, 431, 501, 505} <= set(found.statuses)
    assert server.process.returncode == 0


@pytest.mark.slow
def test_damaged_requests_leave_an_instance_in_a_process_as_it_was(tmp_path: Path) -> None:
    with served(tmp_path, real=True) as server:
        assert len(server.pids()) == 2
        found = fuzz(server, 1000, seed=2)
    assert found.wrong == []
    assert found.before.keys() == {"front", "instance 0"}
