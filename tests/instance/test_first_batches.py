"""What an instance of a server runs before it is ready."""

import numpy as np
import pytest

from coresplit.errors import PrepareFailed
from coresplit.instance import Arena, HandedOver, Infer, Rows
from coresplit.instance.child.serving import Server
from coresplit.optimizations.arrays import ArrayForward, Arrays
from coresplit.records import ModelInput, ModelOutput
from coresplit.workflows.serving import Handovers

SIZE = 4096


class Doubling:
    """A model that doubles rows of two numbers, and remembers the batches it has run."""

    def __init__(self, lost: int = 0) -> None:
        self.run: list[int] = []
        self.lost = lost

    def over(self, inputs: Arrays, like: ArrayForward | None = None) -> ArrayForward:
        def forward() -> Arrays:
            self.run.append(len(inputs[0]))
            return (inputs[0][self.lost :] * 2,)

        return forward


def server(model: Doubling, arena: Arena, known: tuple[int, ...]) -> Server:
    return Server(
        model.over,
        arena,
        inputs=(ModelInput(name="x", shape=(2,)),),
        outputs=(ModelOutput(name="y", shape=(2,), dtype="float32"),),
        buffers=(np.zeros((4, 2), np.float32),),
        batches=(1, 2, 4),
        known=known,
    )


@pytest.mark.parametrize(("known", "run"), [((), [1, 2, 4]), ((1, 4), [2]), ((1, 2, 4, 8), [])])
def test_batches_that_another_instance_has_run_are_not_run_before_the_first_request(
    known: tuple[int, ...], run: list[int]
) -> None:
    model, arena = Doubling(), Arena.create(SIZE)
    serving = server(model, arena, known)
    assert model.run == run
    for count in (1, 2, 4):
        rows = np.arange(2 * count, dtype=np.float32)
        arena.view(0, rows.nbytes)[:] = rows.tobytes()
        serving.infer(Infer(rows=(Rows(count=count, inputs=(0,), outputs=(1024,)),)))
        answer = np.frombuffer(arena.view(1024, rows.nbytes), np.float32)
        assert answer.tolist() == (rows * 2).tolist()
    arena.close()


def test_outputs_that_do_not_follow_the_batch_are_found_before_the_first_request() -> None:
    arena = Arena.create(SIZE)
    with pytest.raises(PrepareFailed, match="batch"):
        server(Doubling(lost=1), arena, known=())
    arena.close()


def test_what_is_handed_over_adds_up_and_a_useless_folder_is_not_tried_again() -> None:
    handovers, nothing = Handovers(), HandedOver()
    thin = HandedOver(folder="/a", batches=(1, 2), grown=5, peak=7)
    handovers.keep("script", nothing, thin)
    assert handovers.of("script") == thin
    assert handovers.of("none") == nothing
    handovers.keep("script", thin, HandedOver(folder="/a", batches=(1, 8), grown=3, peak=9))
    both = HandedOver(folder="/a", batches=(1, 2, 8), grown=5, peak=9)
    assert handovers.of("script") == both
    handovers.keep("script", both, HandedOver(batches=(1, 2, 8)))
    assert handovers.of("script").folder == ""
    assert handovers.of("script").batches == (1, 2, 8)
    handovers.keep("script", nothing, both)
    assert handovers.of("script").folder == ""
    handovers.keep("script", nothing, HandedOver(folder="/b"))
    assert handovers.of("script").folder == "/b"
