"""Which instances are asked what the model is, and what is said where none can."""

from collections.abc import Callable

import pytest

from coresplit.errors import InstanceDied, InstanceError, ModelFault, PrepareFailed, UsageError
from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Interrupt
from coresplit.models import ModelSpec
from coresplit.records import Cell
from coresplit.sweep import probe

CELLS = [
    Cell(optimization=name, threads=threads, batch=1)
    for name in ("script", "none")
    for threads in (1, 2, 3)
]


class Starts:
    """Starts fake instances; ``fails`` gives the error of a cell, None for one that is ready."""

    def __init__(self, fails: Callable[[Cell], InstanceError | None]) -> None:
        self.fails = fails
        self.started: list[tuple[str, int]] = []
        self.host = FakeHost(FakeClock(), self)

    def __call__(self, cell: Cell) -> FakeInstance:
        self.started.append((cell.optimization, cell.threads))
        spec = InstanceSpec(
            model=ModelSpec(name="inception"),
            optimization=cell.optimization,
            cpus=tuple(range(cell.threads)),
            home=(0, 1, 2),
        )
        instance = FakeInstance(spec, lambda *_: 1.0, FakeClock())
        error = self.fails(cell)
        if error is not None:

            def refuse(interrupt: Interrupt | None = None, timeout: float = 0.0) -> None:
                raise error

            instance.wait_ready = refuse  # type: ignore[method-assign, assignment]
        return instance


def test_another_optimization_is_asked_before_more_instances_of_one_that_failed() -> None:
    starts = Starts(lambda cell: PrepareFailed("no") if cell.optimization == "script" else None)
    assert probe(starts.host, CELLS)[0].weights == "fake"
    assert starts.started == [("script", 1), ("none", 1)]


def test_what_is_wrong_with_the_model_is_said_at_once() -> None:
    starts = Starts(lambda cell: ModelFault("'x.pt' is damaged"))
    with pytest.raises(UsageError, match=r"'x\.pt' is damaged"):
        probe(starts.host, CELLS)
    assert starts.started == [("script", 1)]


def test_a_reason_that_all_optimizations_give_is_said_once() -> None:
    starts = Starts(lambda cell: PrepareFailed(f"instance {cell.optimization} t=1: no operators"))
    with pytest.raises(PrepareFailed, match="instance script t=1: no operators"):
        probe(starts.host, CELLS)
    assert len(starts.started) == 6


def test_different_reasons_are_all_said_in_one_line() -> None:
    starts = Starts(lambda cell: InstanceDied(f"instance {cell.optimization} was ended"))
    with pytest.raises(InstanceError, match="script was ended; instance none was ended") as caught:
        probe(starts.host, CELLS)
    assert str(caught.value).startswith("no optimization can be prepared: ")
