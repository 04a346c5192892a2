"""How long does the first forward after a pause take, compared with forwards back to back?

    python benchmarks/pauses.py [MODEL [OPTIMIZATION [ROUNDS [ALLOCATORS]]]]

A sweep times forwards back to back. A server with little load runs them after pauses, in which a
core may go to sleep, the hypervisor may take a virtual core or memory away, and others may fill the
caches. For each allocator, a pinned instance on all cores computes single inputs. A round has every
allocator and every pause once, in a random order: one forward that is not counted, the pause, and
the timed forward. Prints the median of the ratios to a forward without a pause within rounds, with
its 95 % interval. ALLOCATORS is a list with commas; the default is to use only the default one.
"""

import random
import statistics
import sys
import time
from contextlib import ExitStack, closing

from inputs import started

from coresplit.format import format_duration, times_exact
from coresplit.instance import Process
from coresplit.machine.inspection import inspect
from coresplit.stats.summary import median_interval

PAUSES_S = (0.0, 0.005, 0.02, 0.05, 0.2)
ROUNDS, FEWEST = 100, 6
LIMIT_S = 600.0


def main() -> None:
    given = dict(enumerate(sys.argv[1:]))
    model, optimization = given.get(0, "mobilenet_v3_large"), given.get(1, "script")
    rounds = int(given.get(2, ROUNDS))
    allocators = given.get(3, "default").split(",")
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    machine = inspect()
    print(f"{machine.cpu_model}, {machine.usable} usable cores; {model}, {optimization}")
    found: dict[str, list[dict[float, float]]] = {each: [] for each in allocators}
    with ExitStack() as stack:
        processes = {
            each: stack.enter_context(
                closing(started(machine, model, optimization, machine.usable, allocator=each))
            )
            for each in allocators
        }
        for process in processes.values():
            process.time_forward_passes(1, 10, LIMIT_S, LIMIT_S, warmup=10)
        for _ in range(rounds):
            for each in random.sample(allocators, len(allocators)):
                found[each].append(one_round(processes[each]))
    print(f"{'allocator':<14}{'pause':>9}{'forward':>12}{'times as long':>16}{'95 % interval':>22}")
    for allocator, measured in found.items():
        for pause in PAUSES_S:
            ratios = [each[pause] / each[0.0] for each in measured]
            low, high = median_interval(ratios)
            took = format_duration(statistics.median(each[pause] for each in measured))
            print(
                f"{allocator:<14}{pause * 1e3:>6.0f} ms{took:>12}"
                f"{times_exact(statistics.median(ratios)):>16}"
                f"{f'{times_exact(low)} to {times_exact(high)}':>22}"
            )


def one_round(process: Process) -> dict[float, float]:
    """Return the seconds of a forward after each pause."""
    found = {}
    for pause in random.sample(PAUSES_S, len(PAUSES_S)):
        process.time_forward_passes(1, 1, LIMIT_S, LIMIT_S, warmup=1)
        time.sleep(pause)
        (found[pause],) = process.time_forward_passes(1, 1, LIMIT_S, LIMIT_S, warmup=0).durations
    return found


if __name__ == "__main__":
    main()
