"""What the engine does in single situations; ``test_engine_model`` has all the others."""

import os
from collections.abc import Iterator

import pytest
from scripted import Quiet, ScriptedInstance, ScriptedLoop, set_of

from coresplit.errors import CoresplitError, EnvironmentFault
from coresplit.instance import Arena, Infer, Inferred
from coresplit.instance.memory import resident
from coresplit.serving import crew
from coresplit.serving.crew import CrewSettings
from coresplit.serving.dividing import Latencies
from coresplit.serving.engine import Engine
from coresplit.serving.queue import Failure, Job
from coresplit.serving.sets import Place
from coresplit.serving.settings import Settings

FOREVER = float("inf")


class Scene:
    """An engine, its instances, and what became of requests."""

    def __init__(
        self,
        threads: list[int],
        latencies: Latencies,
        *,
        slack_s: float = 30.0,
        batch_timeout_s: float = 0.0,
    ) -> None:
        self.loop = ScriptedLoop()
        self.instances: list[ScriptedInstance] = []
        self.fault: CoresplitError | None = None
        self.ends: dict[int, Failure | None] = {}
        self.freed: list[int] = []
        self.latencies = latencies
        settings = Settings(slack_s=slack_s, batch_timeout_s=batch_timeout_s)
        with self.loop.running():
            self.engine = Engine(
                self._start,
                set_of(threads, latencies),
                settings,
                Quiet(),
                crew=CrewSettings(first_pause_s=0.1),
            )
            self.engine.open()

    def _start(self, place: Place, quietly: bool) -> ScriptedInstance:
        if self.fault is not None:
            raise self.fault
        self.instances.append(ScriptedInstance(self.loop, place, quietly=quietly))
        return self.instances[-1]

    def ready(self, *places: int, input_s: float = 0.0) -> "Scene":
        """Those instances have become ready; all where none are named."""
        for place in places or range(len(self.instances)):
            self.instances[place].get_ready(input_s)
        return self

    def ask(self, number: int, rows: int = 1, within_s: float = FOREVER) -> Job:
        """Send a request."""
        now = self.loop.time()
        job = Job(
            rows,
            [100 * number],
            [1],
            [100 * number + 50],
            [1],
            arrived_at=now,
            deadline=now + within_s,
            done=lambda failure: self.ends.__setitem__(number, failure),
            free=lambda: self.freed.append(number),
        )
        self.engine.submit(job)
        return job

    def computing(self, place: int) -> list[int]:
        """Requests that an instance computes."""
        command = self.instances[place].computing
        return [] if command is None else [int(str(rows.inputs[0])) // 100 for rows in command.rows]

    def status(self, number: int) -> int:
        """How a request ended."""
        failure = self.ends[number]
        return 200 if failure is None else failure.status


def even() -> Latencies:
    return Latencies({(1, 1): 0.01, (1, 4): 0.04})


@pytest.fixture
def pair() -> Iterator[Scene]:
    """Two instances of one thread."""
    scene = Scene([1, 1], even()).ready()
    yield scene
    scene.engine.close()


def test_an_idle_instance_does_not_wait_for_one_that_takes_longer_than_expected(
    pair: Scene,
) -> None:
    pair.ask(1)
    assert pair.computing(0) == [1]
    pair.loop.advance(0.01)
    pair.ask(2)
    pair.loop.advance(1.0)
    assert pair.computing(1) == [2]


def test_what_waits_for_a_faster_instance_that_hangs_is_computed_by_a_slower_one() -> None:
    scene = Scene([2, 1], Latencies({(2, 1): 0.01, (1, 1): 0.1})).ready()
    scene.ask(1)
    scene.ask(2)
    assert (scene.computing(0), scene.computing(1)) == ([1], [])
    scene.loop.advance(0.5)
    assert (scene.computing(0), scene.computing(1)) == ([1], [2])


def test_nobody_is_refused_for_ever_for_one_forward_that_took_long() -> None:
    scene = Scene([1], Latencies({(1, 1): 10.0})).ready()
    scene.ask(1, within_s=5.0)
    scene.loop.advance(3.0)
    statuses = []
    for number in range(2, 40):
        scene.ask(number, within_s=5.0)
        if scene.instances[0].computing is not None:
            scene.instances[0].answer(compute_s=0.01)
        statuses.append(scene.status(number))
        scene.loop.advance(2.0)
    assert statuses[-10:] == [200] * 10


def test_an_instance_whose_allocator_is_gone_is_tried_again_until_it_is_back() -> None:
    scene = Scene([1], even()).ready()
    scene.loop.advance(60.0)
    scene.fault = EnvironmentFault("huge pages are off; turn them on")
    scene.instances[0].die(gone=True)
    scene.loop.advance(60.0)
    assert not scene.engine.accepting
    scene.fault = None
    scene.loop.advance(60.0)
    scene.instances[-1].get_ready()
    assert scene.engine.accepting
    scene.ask(1)
    assert scene.computing(1) == [1]
    scene.instances[-1].answer()
    assert scene.status(1) == 200


def test_a_stall_of_one_forward_is_not_expected_of_the_next() -> None:
    found = Latencies({(1, 1): 0.01})
    found.observe(1, 1, 100.0)
    assert found.seconds(1, 1) < 0.02


def test_a_request_that_only_the_faster_instance_can_answer_in_time_is_not_refused() -> None:
    scene = Scene([2, 1], Latencies({(2, 1): 0.1, (1, 1): 0.15})).ready()
    scene.ask(1)
    scene.ask(2, within_s=0.12)
    assert 2 not in scene.ends


def test_rows_whose_texts_are_wrong_do_not_count_as_fast(pair: Scene) -> None:
    for number in range(20):
        pair.ask(number)
        pair.instances[0].answer(refused=0, compute_s=0.0)
        assert pair.status(number) == 400
    assert pair.latencies.seconds(1, 1) == 0.01


def test_what_waits_is_refused_once_instances_die_again_and_again() -> None:
    scene = Scene([1], even()).ready()
    scene.ask(1)
    scene.ask(2)
    scene.instances[-1].die(gone=True)
    assert scene.ends == {}
    for _ in range(8):
        scene.loop.advance(10.0)
        scene.instances[-1].refuse_to_prepare()
    assert (scene.status(1), scene.status(2)) == (503, 503)
    assert sorted(scene.freed) == [1, 2]
    assert not scene.engine.working


def test_memory_of_a_request_whose_client_left_is_given_back_when_the_engine_closes(
    pair: Scene,
) -> None:
    job = pair.ask(1)
    pair.engine.forget(job)
    assert pair.freed == []
    pair.engine.close()
    assert pair.freed == [1]


def test_a_batch_runs_again_only_once_the_instance_that_lost_it_is_gone() -> None:
    scene = Scene([1, 1], even(), slack_s=1.0).ready()
    scene.ask(1, rows=1)
    scene.loop.advance(2.0)
    assert scene.instances[0].told_to_end
    assert (scene.engine.alive, scene.computing(1)) == (1, [])
    scene.instances[0].be_gone()
    scene.loop.advance(0.2)
    assert scene.computing(1) == [1]


def test_an_instance_that_closed_its_pipe_and_lives_on_is_killed() -> None:
    scene = Scene([1, 1], even()).ready()
    scene.ask(1)
    scene.instances[0].die(gone=False)
    assert not scene.instances[0].told_to_end
    scene.loop.advance(crew.DYING_S + 1.0)
    assert scene.instances[0].told_to_end
    assert scene.computing(1) == []


def test_the_first_batch_of_a_slow_model_has_the_time_it_needs() -> None:
    scene = Scene([1], Latencies({})).ready(input_s=20.0)
    scene.ask(1, rows=4)
    scene.loop.advance(79.0)
    scene.instances[0].answer()
    assert scene.status(1) == 200


@pytest.mark.parametrize("texts", [(), ("", "")])
def test_an_instance_that_answers_what_it_was_not_asked_is_replaced(
    pair: Scene, texts: tuple[str, ...]
) -> None:
    pair.ask(1)
    pair.instances[0].say(Inferred(compute_s=0.0, started_at=0.0, ended_at=0.0, refused=texts))
    assert pair.instances[0].told_to_end
    pair.instances[0].be_gone()
    pair.loop.advance(0.05)
    assert pair.computing(1) == [1]


def test_an_answer_that_came_as_late_as_the_deadline_counts() -> None:
    scene = Scene([1], even(), slack_s=1.0).ready()
    scene.ask(1)
    scene.instances[0].unheard = True
    scene.instances[0].answer()
    scene.loop.advance(5.0)
    assert (scene.status(1), scene.engine.crew.restarts) == (200, 0)


def test_requests_are_computed_one_by_one_where_a_batch_saves_nothing() -> None:
    scene = Scene([1], even()).ready()
    for number in range(3):
        scene.ask(number)
    assert scene.computing(0) == [0]
    scene.instances[0].answer()
    assert scene.computing(0) == [1]
    scene.engine.close()


def test_requests_are_computed_together_where_a_batch_saves_much() -> None:
    scene = Scene([1], Latencies({(1, 1): 0.1, (1, 4): 0.11})).ready()
    for number in range(4):
        scene.ask(number)
    scene.instances[0].answer()
    assert scene.computing(0) == [1, 2, 3]
    scene.engine.close()


def test_the_rows_of_one_request_are_not_cut_for_a_smaller_batch() -> None:
    scene = Scene([1], even()).ready()
    scene.ask(0)
    scene.ask(1, rows=3)
    scene.ask(2)
    scene.instances[0].answer()
    assert scene.computing(0) == [1]
    command = scene.instances[0].computing
    assert command is not None
    (rows,) = command.rows
    assert rows.count == 3
    scene.engine.close()


def test_requests_wait_for_each_other_only_until_the_idle_instances_can_be_filled() -> None:
    scene = Scene([1, 1], even(), batch_timeout_s=10.0).ready()
    scene.ask(1, rows=8)
    assert scene.computing(0) == scene.computing(1) == [1]
    scene.instances[0].answer()
    scene.ask(2, rows=3)
    assert scene.computing(0) == []
    scene.ask(3, rows=1)
    assert scene.computing(0) == [2, 3]
    scene.instances[1].answer()
    scene.ask(4)
    assert scene.computing(1) == []
    scene.loop.advance(10.0)
    assert scene.computing(1) == [4]


def test_an_instance_that_is_never_ready_beside_one_that_is_becomes_a_fault() -> None:
    scene = Scene([1, 1], even()).ready(0)
    for _ in range(crew.ATTEMPTS):
        scene.instances[-1].refuse_to_prepare()
        scene.loop.advance(10.0)
    assert scene.engine.crew.fault is not None
    assert "cannot be prepared" in str(scene.engine.crew.fault)


def test_pages_of_the_arena_are_not_the_memory_of_an_instance() -> None:
    arena = Arena.create(64 << 20)
    before = resident(os.getpid())
    for at in range(0, arena.size, 1 << 20):
        arena.view(at, 1 << 20)[:] = b"x" * (1 << 20)
    grown = resident(os.getpid()) - before
    arena.close()
    assert before > 0
    assert grown < arena.size // 2
    assert resident(2**22 + 7) == 0


def test_a_request_of_more_rows_than_a_batch_takes_several_of_all_instances(pair: Scene) -> None:
    pair.ask(1, rows=11)
    sizes: list[int] = []
    while 1 not in pair.ends:
        for instance in pair.instances:
            if isinstance(instance.computing, Infer):
                sizes.append(instance.computing.rows[0].count)
                instance.answer()
    assert sum(sizes) == 11
    assert max(sizes) <= 4
    assert pair.status(1) == 200
