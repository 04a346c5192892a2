"""Results of loads with exact numbers, as pages get them."""

import math

import msgspec

from coresplit.loading.search import search, trial_of
from coresplit.records.load import (
    LoadCompared,
    LoadGenerator,
    LoadLatency,
    LoadLimit,
    LoadResult,
    LoadRun,
    LoadSecond,
    SplitSeen,
)

TARGET = ("http://127.0.0.1:8080/v2/models/m", "model m, 1 row, 1.07 MB each")


def a_run(
    middle: float = 0.02, limit: LoadLimit = "", failed: int = 0, asked: str = "50 requests/s"
) -> LoadRun:
    """Ten seconds, of which the sixth was bad; the split changed in the middle."""
    seconds = tuple(
        LoadSecond(
            at=at,
            due=50,
            answers=50,
            failed=failed if at == 5 else 0,
            p50=middle * (4 if at == 5 else 1),
            p99=middle * (20 if at == 5 else 2),
            max=middle * (30 if at == 5 else 3),
            open=1,
            cpu=0.95 if limit else 0.05,
            lag=0.0001,
        )
        for at in range(10)
    )
    shares = [1 - 2.0**-k for k in range(10)]
    return LoadRun(
        url=TARGET[0],
        asked=asked,
        warmup_s=2.0,
        window_s=8.0,
        due=400,
        answered=400 - failed,
        failed=failed,
        unfinished=0,
        late=failed,
        throughput=50.0 - failed / 8,
        rows=400,
        errors={"status 429": failed} if failed else {},
        latency=LoadLatency(
            count=400 - failed,
            mean=middle * 1.5,
            p50=middle,
            p90=middle * 1.9,
            p99=middle * 20,
            p999=None,
            max=middle * 30,
        ),
        distribution=tuple((s, middle * (1 + 3 * k)) for k, s in enumerate([*shares, 1.0])),
        histogram="",
        seconds=seconds,
        splits=(
            SplitSeen(at=0.1, instances=2, split="2"),
            SplitSeen(at=5.0, instances=3, split="1 wide + 2 narrow"),
        ),
        generator=LoadGenerator(
            limit=limit,
            cpu=0.95 if limit else 0.05,
            lag_p99=0.0001,
            lag_max=0.0002,
            waited=0,
            connections=8,
            cpus=(3,),
        ),
    )


def of_run(run: LoadRun) -> LoadResult:
    return LoadResult(version="0", created_at=1.8e9, targets=(TARGET,), runs=(run,))


def of_two() -> LoadResult:
    runs = tuple(a_run(m * (1 + k / 100)) for k in range(5) for m in (0.02, 0.03))
    compared = (
        LoadCompared(
            what="p50",
            first=0.02,
            second=0.03,
            ratio=1.5,
            low=1.4,
            high=1.6,
            rounds=5,
            relation="faster",
        ),
        LoadCompared(
            what="p99",
            first=0.4,
            second=0.6,
            ratio=1.5,
            low=0.8,
            high=2.8,
            rounds=5,
            relation="unclear",
        ),
    )
    return LoadResult(
        version="0", created_at=1.8e9, targets=(TARGET, TARGET), runs=runs, compared=compared
    )


def of_search() -> LoadResult:
    runs: list[LoadRun] = []

    def measure(rate: float) -> "object":
        late = 0 if rate <= 100 else 200
        run = msgspec.structs.replace(
            a_run(0.001 * math.exp(rate / 40), asked=f"{rate:.3g} requests/s"), late=late
        )
        runs.append(run)
        return trial_of(run, rate, 99)

    found = search(measure, 10.0, slo=0.5, percentile=99, precision=0.1)  # type: ignore[arg-type]
    return LoadResult(
        version="0", created_at=1.8e9, targets=(TARGET,), runs=tuple(runs), search=found
    )
