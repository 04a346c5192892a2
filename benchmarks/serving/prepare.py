"""Create an environment for each peer of coresplit, with its pinned versions.

    python benchmarks/serving/prepare.py --environments DIR [PEER...]

Installs ``peers/*/requirements.txt``; existing environments are kept. If a peer cannot be
installed, a line says so, and it is left out of the measurements.
"""

import argparse
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from targets import ORDER, PEERS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("peers", nargs="*", default=ORDER)
    asked = parser.parse_args()
    for peer in asked.peers:
        print(f"{peer}: {prepared(peer, asked.environments / peer)}", flush=True)


def prepared(peer: str, folder: Path) -> str:
    """Create the environment of a peer; return the outcome in words."""
    wanted = PEERS / peer / "requirements.txt"
    if not wanted.exists():
        return f"left out, there is no {wanted}"
    done = folder / "installed.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return "already installed"
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "-r", str(wanted)]
    ended = subprocess.run(pip, capture_output=True, text=True, check=False)
    if ended.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        lines = ended.stderr.strip().splitlines() or ["pip failed"]
        return f"left out, it cannot be installed: {lines[-1]}"
    done.write_text(wanted.read_text())
    return "installed"


if __name__ == "__main__":
    if sys.version_info[:2] > (3, 13):
        sys.exit("the peers have no wheels for this Python; use 3.11 to 3.13")
    main()
