"""The cost of a sweep: its wall time, the share of forwards, and the usual fixed protocol.

The fixed protocol starts a fresh process for every cell and runs 10 warm-ups and 100 iterations;
its time is computed from the latencies that the run measured or estimated.

    python benchmarks/sweep_cost.py RUN
"""

import statistics
import sys
from pathlib import Path

from coresplit import store
from coresplit.format import format_duration, format_share
from coresplit.records import Ended, Prepared
from coresplit.stats.fitting import variance_of
from coresplit.stats.noise import noise_floor
from coresplit.stats.sampling import judged
from coresplit.stats.summary import point_of

ITERATIONS = 110


def main() -> None:
    run = judged(store.load(Path(sys.argv[1])))
    variance = variance_of(run)
    ends = [entry for entry in run.journal if isinstance(entry, Ended)]
    prepared = [
        entry.start_s + entry.prepare_s for entry in run.journal if isinstance(entry, Prepared)
    ]
    wall = sum(entry.wall_s for entry in ends)
    forwards = sum(entry.forward_s for entry in ends)
    points = [point for each in run.measurements if (point := point_of(each, variance)) is not None]
    fixed = sum(ITERATIONS * point.latency + statistics.median(prepared) for point in points)
    verdicts = [each.verdict for each in run.measurements]
    noise = noise_floor(run.journal)
    print(f"cells            {len(run.measurements)}")
    for verdict in sorted(set(verdicts)):
        print(f"  {verdict:<15}{verdicts.count(verdict)}")
    seen = [each for each in run.measurements if each.samples]
    visits = [len(each.visits) for each in seen]
    print(f"visits           {sum(visits)}, {statistics.median(visits):g} a cell in the median")
    print(f"forwards timed   {sum(len(each.samples) for each in seen)}")
    print(f"between visits   {variance.between:.2%}, within {variance.within:.2%}")
    print(f"wall time        {format_duration(wall)}")
    print(
        f"in forwards      {format_duration(forwards)}, {format_share(forwards / max(wall, 1e-9))}"
    )
    print(f"noise floor      {'unknown' if noise is None else format_share(noise)}")
    print(f"fixed protocol   {format_duration(fixed)} for the same cells")
    print(f"ratio            {fixed / wall:.0f} times cheaper")


if __name__ == "__main__":
    main()
