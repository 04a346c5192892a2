"""The result of a load test in words; pure."""

from collections.abc import Iterator, Sequence

from coresplit.format import format_duration, format_numbers, number, percent, times_exact
from coresplit.records.load import (
    MOST_FAILED,
    LoadCompared,
    LoadGenerator,
    LoadLatency,
    LoadResult,
    LoadRun,
    LoadSearch,
)

_LABELS = (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max"),
           ("mean", "mean"))  # fmt: skip


def result_lines(result: LoadResult) -> Iterator[str]:
    """All lines on a result."""
    if result.interrupted:
        yield "ended by the user; results up to then"
    if result.search is not None:
        yield from search_lines(result.search)
    elif len(result.targets) > 1:
        yield from comparison_lines(result)
    else:
        for run in result.runs:
            yield from run_lines(run)


def run_lines(run: LoadRun) -> Iterator[str]:
    """Lines on one run."""
    warm = f", without the first {format_duration(run.warmup_s)}" if run.warmup_s else ""
    rows = [
        ("load", f"{run.asked}{warm}"),
        ("from", place_of(run.generator)),
        ("answered", _answered(run)),
        ("throughput", _throughput(run)),
    ]
    limit = limit_of(run)
    if run.latency is not None:
        what = "latency" if not limit else "generator"
        rows.append((what, ", ".join(latencies(run.latency))))
    if run.errors:
        rows.append(("errors", ", ".join(f"{kind}: {n:,}" for kind, n in run.errors.items())))
    for label, text in rows:
        yield f"{label.ljust(12)}{text}"
    if limit:
        yield f"warning: {limit}"
    if run.generator.waited:
        yield (
            f"warning: {run.generator.waited:,} requests waited for one of "
            f"{run.generator.connections} connections; their latency includes the wait"
        )


def comparison_lines(result: LoadResult) -> Iterator[str]:
    """Lines on the comparison of two servers."""
    names = ("first", "second")
    for name, (url, described) in zip(names, result.targets, strict=True):
        yield f"{name.ljust(8)}{url}  {described}"
    rounds = len(result.runs) // 2
    yield f"rounds  {rounds}, each in a random order: {result.runs[0].asked if rounds else ''}"
    for which, name in enumerate(names):
        own = result.runs[which::2]
        failed = sum(run.failed for run in own)
        if failed:
            due = sum(run.due for run in own)
            yield f"warning: {failed:,} of {due:,} requests to the {name} server failed"
    yield from map(compared_text, result.compared)
    limited = _limited_rounds(result.runs)
    if limited:
        yield (
            f"warning: in {limited} of {rounds} rounds the generator was the bottleneck; "
            "they are left out"
        )
    if not all(run.tells_latency for run in result.runs):
        yield (
            f"warning: over {percent(MOST_FAILED)} of the requests in a round failed, so latencies "
            "are not compared"
        )
    elif not result.compared:
        yield "too few rounds to compare the servers"


def compared_text(one: LoadCompared) -> str:
    """Both values and their difference, which is named only if it is significant."""
    shown = f"{_value(one.what, one.first)} and {_value(one.what, one.second)}"
    return f"{one.what.ljust(12)}{shown}: {difference_text(one)}"


def difference_text(one: LoadCompared) -> str:
    """The difference alone, without the values."""
    ratio, low, high = one.ratio, one.low, one.high
    if one.relation in ("equivalent", "unclear"):
        how = "equivalent within 3 %" if one.relation == "equivalent" else "too close to call"
        return f"{how} (ratio {times_exact(low)} to {times_exact(high)})"
    names = "first", "second"
    if one.relation == "slower":
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
        names = "second", "first"
    how = f"{times_exact(ratio)} ({times_exact(low)} to {times_exact(high)})"
    if one.what == "throughput":
        return f"the {names[0]} has {how} the throughput of the {names[1]}"
    return f"the {names[0]} is {how} as fast as the {names[1]}"


def search_lines(found: LoadSearch) -> Iterator[str]:
    """Lines on the search for the highest rate within a latency."""
    what = f"{percentile_text(found.percentile)} within {format_duration(found.slo)}"
    if found.low is None:
        yield f"no rate holds {what}"
    else:
        highest = "" if found.high is None else f", and fails at {number(found.high)} requests/s"
        yield f"{number(found.low)} requests/s hold {what}{highest}"
    whose = {
        "server": "the limit is the server's",
        "generator": "the limit is the generator's: the server may sustain more",
        "none": "no limit was reached",
    }
    yield f"{whose[found.limit]}; {len(found.trials)} trials"
    if not found.finished:
        yield "warning: the search did not finish"
    if found.too_few is not None:
        yield (
            f"warning: a trial had {found.too_few:,} requests, too few for "
            f"{percentile_text(found.percentile)}; use longer trials"
        )
    for trial in sorted(found.trials, key=lambda trial: trial.rate):
        held = "held" if trial.held else "failed"
        limit = " (the generator was the bottleneck)" if trial.limit else ""
        late = f"{trial.late:,} of {trial.count:,} late"
        if trial.ended_early:
            late = "ended early"
        yield f"  {number(trial.rate):>8} requests/s  {held:6}  {late}{limit}"


def limit_of(run: LoadRun) -> str:
    """Why the generator was the bottleneck; empty if it was not."""
    generator = run.generator
    if generator.limit == "cpu":
        why = f"it used {percent(generator.cpu)} of its core"
    elif generator.limit == "lag":
        why = (
            f"it sent 1 % of the requests {format_duration(generator.lag_p99 or 0.0)} late or more"
        )
    else:
        return ""
    return f"the generator was the bottleneck: {why}. The latencies are its own, not the server's"


def place_of(generator: LoadGenerator) -> str:
    """Where the generator ran, and how much CPU it used."""
    used = f"{percent(generator.cpu)} of it used"
    if generator.cpus and not generator.shared:
        return f"core {format_numbers(generator.cpus)}, which the server is not bound to; {used}"
    if generator.cpus:
        return (
            f"core {format_numbers(generator.cpus)}; the server may also use "
            f"{format_numbers(generator.shared)}; {used}"
        )
    shared = format_numbers(generator.shared)
    used = f"{percent(generator.cpu)} of one used"
    return f"any core: the server may also use all of them ({shared}); {used}"


def latencies(latency: LoadLatency) -> list[str]:
    """``p50 12.3 ms`` and so on; percentiles that need more requests are left out."""
    found = [(label, getattr(latency, name)) for name, label in _LABELS]
    return [f"{label} {format_duration(value)}" for label, value in found if value is not None]


def _answered(run: LoadRun) -> str:
    parts = [f"{run.answered:,} of {run.due:,}"]
    if run.failed:
        parts.append(f"{run.failed:,} failed")
    if run.unfinished:
        parts.append(f"{run.unfinished:,} unfinished")
    return ", ".join(parts)


def _throughput(run: LoadRun) -> str:
    rows = run.rows / run.window_s if run.window_s else 0.0
    same = abs(rows - run.throughput) < 1e-9
    return f"{number(run.throughput)} requests/s" + ("" if same else f", {number(rows)} rows/s")


def _limited_rounds(runs: Sequence[LoadRun]) -> int:
    pairs = zip(runs[::2], runs[1::2], strict=False)
    return sum(bool(one.generator.limit or other.generator.limit) for one, other in pairs)


def _value(what: str, value: float) -> str:
    return f"{number(value)} requests/s" if what == "throughput" else format_duration(value)


def percentile_text(percentile: float) -> str:
    """``p99``, ``p99.9``."""
    return f"p{percentile:g}"
