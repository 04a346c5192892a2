"""A minute of load during which instances are killed; the benchmark runs it for ten."""

import subprocess
import sys
from pathlib import Path

import pytest

FAILURES = Path(__file__).parents[2] / "benchmarks" / "serving" / "failures.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_request_is_lost_or_wrong_while_instances_are_killed() -> None:
    ended = subprocess.run(
        [sys.executable, FAILURES, "60"], capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = ended.stdout.splitlines()
    assert said[1].startswith("5 instances killed")
    assert said[2].endswith(" right")
    assert "," not in said[2]
    assert said[-1] == "exit code 0 after SIGTERM, 0 instances left"
