"""``coresplit serve`` in a process of its own."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def served(*words: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a free port, and the address of its model; ended in the end."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "coresplit", "serve", *words, "--port", "0", "--memory", "64"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready"), (folder / "log").read_text()
        yield process, line.split()[-1]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def managed(*words: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A server with the addresses of its model and of where it is managed."""
    with served(*words, "--manage", "0", folder=folder) as (process, url):
        lines = (folder / "log").read_text().splitlines()
        (manage,) = [line.split()[-1] for line in lines if line.startswith("manage")]
        yield process, url, manage
