"""A minute of load during which instances are killed and changed; the benchmark runs for longer."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FAILURES = Path(__file__).parents[2] / "benchmarks" / "serving" / "failures.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_request_is_lost_or_wrong_while_instances_are_killed_and_changed() -> None:
    ended = subprocess.run(
        [sys.executable, FAILURES, "60", "--kill-every", "14", "--switch-every", "7"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = ended.stdout.splitlines()
    assert said[1].startswith("4 instances killed")
    assert re.fullmatch("changes of the split: ([0-9] answered 500, )?[1-9] made", said[2])
    assert re.fullmatch("[0-9]+ right", said[3])
    assert said[-1] == "exit code 0 after SIGTERM, 0 instances and 0 files left"
