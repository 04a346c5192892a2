"""Records that the tests of the store share."""

from coresplit.records import (
    AnchorVisit,
    Cell,
    Core,
    Ended,
    Evidence,
    Interval,
    Machine,
    Measurement,
    ModelInfo,
    ModelInput,
    Prepared,
    Run,
    Settings,
    Started,
    Visit,
)

EVIDENCE = Evidence(
    forwards=9,
    wall_s=1.5,
    user_s=1.25,
    system_s=0.125,
    minor_faults=4096,
    major_faults=0,
    voluntary_switches=3,
    involuntary_switches=2,
    throttled_periods=0,
    throttled_s=0.0,
    steal_s=0.0,
    peak_memory=536870912,
    started_at=1767268800.5,
    threads=1,
    thread_cores=("0",),
)


def measured(threads: int, batch: int, *samples: float, optimization: str = "none") -> Measurement:
    samples = samples or (0.1, 0.101, 0.102)
    return Measurement(
        cell=Cell(optimization=optimization, threads=threads, batch=batch),
        verdict="measured",
        reason="the interval of the median is within 2 %",
        samples=samples,
        warmup=(0.2,),
        evidence=EVIDENCE,
        visits=(Visit(samples=len(samples), warmup=1),),
    )


ESTIMATED = Measurement(
    cell=Cell(optimization="none", threads=1, batch=4),
    verdict="estimated",
    reason="beyond the budget",
    estimate=Interval(low=0.38, value=0.4, high=0.42),
)
SKIPPED = Measurement(
    cell=Cell(optimization="none", threads=1, batch=1024),
    verdict="skipped",
    reason="needs 40 GiB, 8 GiB are there",
)
FAILED = Measurement(
    cell=Cell(optimization="script", threads=2, batch=1),
    verdict="failed",
    reason="outputs differ from eager by 0.1",
)

RUN = Run(
    name="tiny-20260101-120000",
    created_at=1767268800.0,
    model=ModelInfo(
        name="tiny",
        title="Tiny",
        source="tiny",
        inputs=(ModelInput(name="x", shape=(3, 32, 32)),),
        parameters=1000,
        weights="sha256:0f",
    ),
    settings=Settings(
        optimizations=("none", "script"),
        threads=(1, 2),
        batches=(1, 2, 4),
        budget_s=600.0,
        seed=7,
        anchor=Cell(optimization="none", threads=1, batch=1),
    ),
    machine=Machine(
        cpu_model="Example CPU",
        cores=(Core(cpu=0), Core(cpu=1)),
        usable=2,
        quota_cores=None,
        memory=8589934592,
        memory_limit=None,
        kernel="6.1.0",
        logical_cpus=2,
    ),
    software={"torch": "2.13.0"},
    measurements=(),
)

JOURNAL = (
    Started(at=1767268800.0),
    Prepared(
        at=1767268803.0,
        optimization="none",
        threads=1,
        start_s=1.5,
        prepare_s=0.5,
        error=0.0,
        largest_tensor=65536,
    ),
    AnchorVisit(at=1767268805.0, samples=(0.1, 0.101)),
    Ended(at=1767268900.0, reason="done", wall_s=100.0, forward_s=90.0),
)

MEASUREMENTS = (measured(1, 1), measured(2, 1, 0.055, 0.056), ESTIMATED, SKIPPED, FAILED)
