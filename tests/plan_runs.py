"""A run of four cores whose best splits are known, and verifications of it."""

from collections.abc import Sequence
from pathlib import Path

from coresplit import store
from coresplit.records import (
    Cell,
    Core,
    Interval,
    Machine,
    Measurement,
    ModelInfo,
    Prepared,
    Run,
    Setting,
    Settings,
    Trial,
    Verification,
    Visit,
    split_of,
)

MILLISECONDS = {
    (1, 1): 20.0, (1, 2): 36.0, (1, 4): 72.0, (1, 8): 150.0,
    (2, 1): 12.0, (2, 2): 20.0, (2, 4): 40.0, (2, 8): 84.0,
    (4, 1): 9.0, (4, 2): 14.0, (4, 4): 26.0, (4, 8): 60.0,
}  # fmt: skip
SPEED = {"none": 1.5, "script": 1.0, "int8": 0.5}
MACHINE = Machine(
    cpu_model="Test CPU",
    cores=tuple(Core(cpu=cpu) for cpu in range(4)),
    usable=4,
    quota_cores=None,
    memory=2**34,
    memory_limit=None,
    kernel="6.1.0",
    logical_cpus=4,
)


def measured(name: str, threads: int, batch: int, setting: Setting = "isolated") -> Measurement:
    """Eight visits that do not differ, so that the run tells apart whatever differs."""
    factor = SPEED[name] * (1.25 if setting == "packed" else 1.0)
    return Measurement(
        cell=Cell(optimization=name, threads=threads, batch=batch, setting=setting),
        verdict="measured",
        reason="within 0.0 % over 8 samples",
        samples=(MILLISECONDS[threads, batch] * factor / 1e3,) * 8,
        visits=(Visit(samples=1),) * 8,
    )


def four_cores(
    names: Sequence[str] = ("none", "script"), settings: tuple[Setting, ...] = ("isolated",)
) -> Run:
    """Isolated cells of every optimization; packed ones of up to two threads and batch 2."""
    measurements = [measured(name, *place) for name in names for place in MILLISECONDS]
    if "packed" in settings:
        small = [place for place in MILLISECONDS if place[0] < 4 and place[1] < 4]
        measurements += [measured(name, *place, "packed") for name in names for place in small]
    return Run(
        name="four",
        created_at=1.7e9,
        model=ModelInfo(name="inception", title="Inception v3", source="inception"),
        settings=Settings(
            optimizations=tuple(names), threads=(1, 2, 4), batches=(1, 2, 4, 8), settings=settings
        ),
        machine=MACHINE,
        software={},
        measurements=tuple(measurements),
        journal=tuple(
            Prepared(
                at=1.7e9,
                optimization=name,
                threads=1,
                start_s=1.0,
                prepare_s=1.0,
                error=0.0,
                largest_tensor=0,
                facts={"lossy": "yes"} if name == "int8" else {},
            )
            for name in names
        ),
    )


def trial(name: str, cells: list[tuple[int, int]], predicted: float, measured: float) -> Trial:
    return Trial(
        name=name,  # type: ignore[arg-type]
        split=split_of(cells),
        predicted=Interval(low=0.95 * predicted, value=predicted, high=1.05 * predicted),
        samples=(measured,),
    )


def verification(split_s: float, rounds: int = 10) -> list[Verification]:
    """Rounds of batch 8 whose fat and thin take 60 and 38 ms; the split as given."""
    return [
        Verification(
            at=1.7e9,
            optimization="script",
            setting="isolated",
            cores=4,
            batch=8,
            trials=(
                trial("split", [(1, 2)] * 4, 0.036, split_s),
                trial("fat", [(4, 8)], 0.06, 0.06),
            ),
        )
        for _ in range(rounds)
    ]


def save(run: Run, path: Path, verifications: Sequence[Verification] = ()) -> Path:
    store.save(path, run)
    if verifications:
        _, writer = store.reopen(path)
        with writer:
            for each in verifications:
                writer.log(each)
    return path
