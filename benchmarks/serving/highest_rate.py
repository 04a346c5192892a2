"""The highest Poisson rate within a latency: coresplit, and the best peers of a comparison.

    python benchmarks/serving/highest_rate.py --environments DIR --results FOLDER
        [--models inception,resnet50] [--best N] [--rounds N]

FOLDER is what ``comparison.py`` wrote. Each peer takes part in the setting in which most requests
under medium load took at most three times the lowest median of any server with one client, and of
these the ``--best`` with the most. Here the latency is three times the lowest median of any of
them, measured anew in each round, as machines become faster and slower; 95 % of the requests of a
trial must keep it, counted from when they were due.

A server that knows the latency can refuse what would be late, and then computes what is not:
coresplit with ``--timeout``, here with the instances that ``--slo`` chooses, and the peers that
have such a setting. All take part without it too.

In a round every server gets the same arrivals, faster or slower: rates are 4 % apart, and the
highest that holds is looked for from above. Every server is started anew in each round. Ratios are
within rounds.
"""

import argparse
import math
import random
import statistics
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from about import describe, parser
from compared import FEWEST_ROUNDS, Comparison, rows_of, share_within
from field import Field, say
from load import Wrong
from targets import Target, punctual
from turns import CLIENTS, closed, open_client, poisson, run_once

from coresplit.format import format_duration, number, times_exact
from coresplit.loading.asked import Load
from coresplit.loading.process.generator import Generator
from coresplit.loading.search import trial_of
from coresplit.records.load import LoadRun
from coresplit.stats.difference import Contrast, decide
from coresplit.stats.rounds import against
from coresplit.workflows.showing.text_table import aligned

TIMES, SHARE, REQUESTS = 3.0, 0.95, 120
SINGLES = 100
OWN_SETTING = "--slo and --timeout"
OWN = f"coresplit, {OWN_SETTING}"
STEP, LOWEST, HIGHEST = 1.04, -30, 6
"""Rates are powers of STEP, of what coresplit can do with many clients."""
STRIDE = 4


def main() -> None:
    asked = parser(__doc__, rounds=3)
    asked.add_argument("--results", type=Path, required=True, help="folder of a comparison")
    asked.add_argument("--models", default="inception,resnet50")
    asked.add_argument("--best", type=int, default=4, help="peers that take part")
    given = asked.parse_args()
    if given.rounds < FEWEST_ROUNDS:
        asked.error(f"{given.rounds} rounds show no difference; give {FEWEST_ROUNDS} or more")
    describe(given)
    for model in given.models.split(","):
        read = (given.results / f"{model}.json").read_bytes()
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            compare(given, msgspec.json.decode(read, type=Comparison), work, stack)


def compare(
    asked: argparse.Namespace, comparison: Comparison, work: Path, stack: ExitStack
) -> None:
    """Search with each server in each round, and print what was found."""
    names = best_of(comparison, asked.best)
    field = Field(asked, comparison.model, work, stack)
    unit = asked_of(field, field.own, closed(CLIENTS, 4 * CLIENTS)).throughput
    field.program.end()
    plain = [field.own, *(each for each in field.others if each.label in names)]
    print(f"\n{comparison.title}: {field.reasons()}")
    rounds = [one_round(field, plain, unit, number) for number in range(asked.rounds)]
    within = ", ".join(format_duration(each.slo) for each in rounds)
    print(f"{SHARE:.0%} within {within}, which is {TIMES:g} times the lowest median of a round")
    top = unit * STEP**HIGHEST
    if any(rate >= top for each in rounds for rate in each.rates.values()):
        print(f"no rate above {number(top)}/s was tried")
    show(OWN, [each.rates for each in rounds])


class Round(msgspec.Struct, frozen=True):
    """What was asked for in a round, in seconds, and the highest rate of each server by label."""

    slo: float
    rates: Mapping[str, float]


def one_round(field: Field, plain: Sequence[Target], unit: float, round_: int) -> Round:
    """The latency of a single request of each server, and then the highest rates, in two orders."""
    drawn = random.Random(round_)
    timed = {each: single(field, each) for each in drawn.sample(plain, len(plain))}
    singles = {each: seconds for each, seconds in timed.items() if math.isfinite(seconds)}
    slo = TIMES * min(singles.values())
    most_ms = f"{1e3 * slo:.0f}ms"
    own = field.coresplit("--slo", most_ms, "--timeout", most_ms, setting=OWN_SETTING)
    told = [punctual(each, queued_s=slo - singles[each], answered_s=slo) for each in singles]
    servers = tuple(dict.fromkeys((own, *singles, *told)))
    rates = {}
    for target in drawn.sample(servers, len(servers)):
        rates[target.label] = searched(field, target, unit, slo=slo, seed=round_)
        say(f"round {round_ + 1}: {target.label} {number(rates[target.label])}/s")
    return Round(slo, rates)


def best_of(comparison: Comparison, count: int) -> list[str]:
    """The labels of the best settings of the best peers under medium load."""
    slo = TIMES * min(row.p50 for row in rows_of(comparison)["light"])
    peers = [each for each in comparison.servers if each.name != "coresplit"]
    shares = {each: share_within(comparison, each.label, "medium", slo) for each in peers}
    best: dict[str, str] = {}
    for each in sorted(peers, key=lambda each: -shares[each]):
        best.setdefault(each.name, each.label)
    return list(best.values())[:count]


def single(field: Field, target: Target) -> float:
    """The median latency of a server with one client, for which it is started; infinite without."""
    program = field.started(target)
    if program is None:
        return math.inf
    try:
        latency = asked_of(field, target, closed(1, SINGLES)).latency
    finally:
        program.end()
    return math.inf if latency is None else latency.p50


def asked_of(field: Field, target: Target, load: Load) -> LoadRun:
    """One load of a server that runs, warmed up before."""
    client = open_client(target, field.sent(target), field.place)
    try:
        run_once(client, closed(2, 10))
        return run_once(client, load)
    finally:
        client.close()


def searched(field: Field, target: Target, unit: float, *, slo: float, seed: int) -> float:
    """The highest rate of a server that holds, which is started for it; 0 where none does."""
    program = field.started(target)
    if program is None:
        return 0.0
    try:
        client = open_client(target, field.sent(target), field.place)
        try:
            run_once(client, closed(2, 10))
            last = highest(
                lambda power: holds(client, unit * STEP**power, slo, seed), LOWEST, HIGHEST
            )
        finally:
            client.close()
    finally:
        program.end()
    return unit * STEP**last if last >= LOWEST else 0.0


def highest(holds: Callable[[int], bool], low: int, high: int) -> int:
    """The last number from ``low`` to ``high`` that holds; ``low - 1`` for none.

    It is looked for from above, as a core that idles may be slow: a low rate that fails says
    nothing of higher ones.
    """
    at, fails = high, high + 1
    while not holds(at):
        if at == low:
            return low - 1
        fails, at = at, max(low, at - STRIDE)
    return at + bisect_left(range(at + 1, fails), True, key=lambda number: not holds(number))


def holds(client: Generator, rate: float, slo: float, seed: int) -> bool:
    """Whether a server keeps the latency at a rate: one trial, after all before it is done."""
    run_once(client, closed(1, 3))
    load = poisson(rate, REQUESTS / rate, seed)
    most_late = (1 - SHARE) * REQUESTS
    run = run_once(client, msgspec.structs.replace(load, within=slo, most_late=most_late))
    if run.generator.limit:
        raise Wrong(f"the client was too slow: {run.generator.limit}")
    return trial_of(run, rate, 100 * SHARE).held


def show(own: str, rounds: Sequence[Mapping[str, float]]) -> None:
    """The rates of all rounds, the best first, and how coresplit stands to each."""
    labels = sorted({label for each in rounds for label in each})
    found = {label: [each.get(label, 0.0) for each in rounds] for label in labels}
    held = [label for label, rates in found.items() if all(rates)]
    contrasts: dict[str, Contrast] = {}
    if own in held and len(held) > 1:
        # a lower rate is as if it took longer
        logs = [{label: -math.log(each[label]) for label in held} for each in rounds]
        contrasts = against(own, [logs])
    relations = dict(zip(contrasts, decide(list(contrasts.values())), strict=True))
    rows = [("server", "requests/s", "rounds", "coresplit's, times as high")]
    for label in sorted(found, key=lambda each: -statistics.median(found[each])):
        said = ""
        if label in contrasts:
            contrast = contrasts[label]
            low, high = contrast.bounds
            relation = {"unclear": ", too close to call", "equivalent": ", equal within 3 %"}
            said = (
                f"{times_exact(contrast.ratio)} ({times_exact(low)} to "
                f"{times_exact(high)}){relation.get(relations[label], '')}"
            )
        rates = ", ".join(number(each) for each in found[label])
        rows.append((label, number(statistics.median(found[label])), rates, said))
    print("\n".join(aligned(rows)), flush=True)


if __name__ == "__main__":
    main()
