"""The overhead of a server: coresplit and its peers with a model that does nothing.

    python benchmarks/serving/overhead.py --environments DIR [--rounds N] [--peers NAMES]

The model returns the first 1,000 numbers of its input, so that every answer can be told from
every other. See README.md in this folder.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from about import describe, parser, places
from rounds import Client, Load, Result, in_rounds, median, ratio, started
from stages import PROGRAM, told
from targets import IMAGE, Target, coresplit, first_run, front, peers, tensors

ONE = Load(clients=1, requests=400, seconds=8.0)
MANY = Load(clients=32, seconds=2.0)
SMALL = (1000,)


def main() -> None:
    asked = parser(__doc__, rounds=7).parse_args()
    describe(asked)
    for shape in (IMAGE, SMALL):
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            compare(asked, shape, work, stack)


def compare(
    asked: argparse.Namespace, shape: tuple[int, ...], work: Path, stack: ExitStack
) -> None:
    kept = asked.environments / "runs"
    kept.mkdir(exist_ok=True)
    run = first_run(kept, shape)
    server_cpus, client_cpus = places(asked)
    client = Client(work / "client.log", client_cpus)
    stack.callback(client.program.end)
    given, cores = (str(run), "--trust", "--split"), len(server_cpus)
    stamps = work / "stamps.json"
    own = coresplit(kept, (*given, "1x1"), shape, setting="1x1", model="first")
    stamped = coresplit(
        kept, (*given, "1x1"), shape, setting="stamped", model="first",
        program=(PROGRAM, str(stamps)),
    )  # fmt: skip
    first = ("--model", "first", *tensors(shape))
    targets = [
        own,
        *(front(shape, http=http) for http in (False, True)),
        *peers(asked.environments, work, asked.peers, first, shape, cores=cores, batch=1),
    ]
    if cores > 1:
        split = f"{cores}x1"
        targets.insert(1, coresplit(kept, (*given, split), shape, setting=split, model="first"))
    size = 4 * targets[0].floats
    print(f"\n{size:,} bytes there, 4,000 back\n", flush=True)
    servers = started([*targets, stamped], client, work, stack, server_cpus, tagged=True)
    others = {target: program for target, program in servers.items() if target is not stamped}
    results = in_rounds(others, client, (ONE, MANY), asked.rounds, tagged=True)
    show(results, own, ONE)
    show(results, own, MANY)
    in_rounds({stamped: servers[stamped]}, client, (ONE,), asked.rounds, tagged=True)
    servers[stamped].end()
    whole = median(results[own, ONE], "p50")
    print(told(stamps, whole))


def show(results: dict[tuple[Target, Load], list[Result]], own: Target, load: Load) -> None:
    """Print medians over rounds, and ratios to coresplit within rounds."""
    clients = "1 client" if load.clients == 1 else f"{load.clients} clients"
    print(f"{clients:<22}{'p50 ms':>9}{'x':>7}{'p99 ms':>9}{'/s':>9}{'x':>7}{'CPU ms':>9}{'x':>7}"
          f"{'client':>8}")  # fmt: skip
    fitting = {target: found for (target, given), found in results.items() if given == load}
    base = fitting.get(own, [])
    for target in sorted(fitting, key=lambda each: median(fitting[each], "p50")):
        found = fitting[target]
        print(
            f"{target.label:<22}"
            f"{median(found, 'p50') * 1e3:>9.3f}{ratio(found, base, 'p50'):>7.2f}"
            f"{median(found, 'p99') * 1e3:>9.3f}"
            f"{median(found, 'throughput'):>9.0f}{ratio(found, base, 'throughput'):>7.2f}"
            f"{median(found, 'cpu') * 1e3:>9.3f}{ratio(found, base, 'cpu'):>7.2f}"
            f"{median(found, 'client_cpu') * 1e3:>8.3f}"
        )
    print(flush=True)


if __name__ == "__main__":
    main()
