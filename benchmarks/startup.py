"""How long coresplit takes to start: importing it, and printing its help.

    python benchmarks/startup.py [ROUNDS]

Each round starts one fresh interpreter per command, in a shuffled order, so that a drift of the
machine affects all commands alike. The ratios are medians of the ratios within rounds.
"""

import random
import statistics
import subprocess
import sys
import time

ROUNDS, FEWEST = 31, 15
BARE = "python -c pass"
COMMANDS = {
    BARE: ("-c", "pass"),
    'python -c "import coresplit"': ("-c", "import coresplit"),
    "python -m coresplit --help": ("-m", "coresplit", "--help"),
}


def main() -> None:
    """Time every command in every round and print the times."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    drawn = random.Random(0)
    names = list(COMMANDS)
    took: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        timed(name)  # reads the files from disk, and compiles modules that are not compiled yet
    for _ in range(rounds):
        for name in drawn.sample(names, len(names)):
            took[name].append(timed(name))
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"{rounds} shuffled rounds, Python {version}; medians, quartiles in brackets\n")
    for name in names:
        low, middle, high = statistics.quantiles(took[name], n=4)
        ratio = statistics.median(
            mine / bare for mine, bare in zip(took[name], took[BARE], strict=True)
        )
        print(
            f"{name:<30}{middle * 1e3:>7.1f} ms  [{low * 1e3:.1f} to {high * 1e3:.1f}]"
            f"{ratio:>8.2f} x"
        )


def timed(name: str) -> float:
    """Return the seconds that a command takes; raise CalledProcessError if it fails."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *COMMANDS[name]], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
