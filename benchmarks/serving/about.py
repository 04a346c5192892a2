"""Shared parts of the scripts in this folder: options, cores, description of the machine."""

import argparse
import os
import platform
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from targets import ORDER

from coresplit.machine.inspection import inspect


def parser(text: str | None, *, rounds: int) -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--environments", type=_folder, required=True, help="made by prepare.py")
    asked.add_argument("--rounds", type=int, default=rounds)
    asked.add_argument(
        "--peers", type=lambda text: tuple(filter(None, text.split(","))), default=ORDER
    )
    return asked


def _folder(text: str) -> Path:
    return Path(text).resolve()


def places(asked: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Return the cores of the servers and those of the client: its own if there are over two."""
    cores = list(inspect().usable_cores)
    own = 1 if len(cores) > 2 else 0
    return cores[: len(cores) - own], cores[-1:]


def describe(asked: argparse.Namespace) -> None:
    """Print the machine, versions and cores; from now on SIGTERM ends all servers."""
    end_with_all()
    print(machine_line())
    print(place_line(asked))
    print(own_versions())
    print("\n".join(f"{peer}: {text}" for peer, text in peer_versions(asked)))
    print(f"load average {os.getloadavg()[0]:.2f} at the start", flush=True)


def end_with_all() -> None:
    """Make SIGTERM end all servers too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def machine_line() -> str:
    machine = inspect()
    return f"{machine.cpu_model}, {len(machine.usable_cores)} cores, Linux {platform.release()}"


def place_line(asked: argparse.Namespace) -> str:
    servers, client = places(asked)
    shared = "shared with the servers" if set(servers) & set(client) else "its own"
    return f"servers on cores {servers}, the client on {client}, {shared}"


def own_versions() -> str:
    own = ("coresplit", "torch", "openvino", "onnxruntime", "uvloop")
    versions = ", ".join(f"{name} {_version(name)}" for name in own)
    return f"{versions}, Python {platform.python_version()}"


def peer_versions(asked: argparse.Namespace) -> list[tuple[str, str]]:
    """Return each peer that has an environment, with the version of its package."""
    names = {"triton": "nvidia-pytriton", "rayserve": "ray"}
    found = []
    for peer in asked.peers:
        python = asked.environments / peer / "bin" / "python"
        if python.exists():
            found.append((peer, _installed(python, names.get(peer, peer))))
    return found


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "from its source"


def _installed(python: Path, name: str) -> str:
    code = f"import importlib.metadata as m; print('{name}', m.version('{name}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not installed"
