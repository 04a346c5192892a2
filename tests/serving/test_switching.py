"""Changes of sets in single situations; ``test_engine_model`` has all the others."""

from collections.abc import Iterator

import pytest
from scripted import Deaf, Quiet, ScriptedInstance, ScriptedLoop

from coresplit.serving import crew
from coresplit.serving.crew import CrewSettings
from coresplit.serving.dividing import Latencies
from coresplit.serving.engine import Engine
from coresplit.serving.queue import Failure, Job
from coresplit.serving.seats import WAITED_S
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching import switcher
from coresplit.serving.switching.switcher import Switcher
from coresplit.serving.switching.wishes import Outcome


def set_on(name: str, *cpus: tuple[int, ...], most_rows: int = 4) -> InstanceSet:
    known = Latencies({(len(each), rows): 0.01 * rows for each in cpus for rows in (1, 4)})
    places = tuple(Place(each) for each in cpus)
    return InstanceSet(name=name, places=places, most_rows=most_rows, latencies=known)


class Scene:
    """An engine that serves with two instances of one thread, and sets to change to."""

    def __init__(self, most_bytes: float = 1e9, free: float = 1e9) -> None:
        self.loop = ScriptedLoop()
        self.instances: list[ScriptedInstance] = []
        self.ends: dict[int, Failure | None] = {}
        self.outcomes: list[Outcome] = []
        self.heard: list[tuple[float, int]] = []
        with self.loop.running():
            self.engine = Engine(
                self._start,
                set_on("thin", (0,), (1,)),
                Settings(),
                Quiet(),
                crew=CrewSettings(first_pause_s=0.1),
            )
            self.engine.open()
        self.engine.hears = lambda at, rows: self.heard.append((at, rows))
        for instance in self.instances:
            instance.get_ready()
        self.switcher = Switcher(
            self.engine, Deaf(), self.loop.time, free=lambda: free, most_bytes=most_bytes
        )
        for each in (
            set_on("fat", (0, 1)),
            set_on("mixed", (0,), (2, 3)),
            set_on("small", (0, 1), most_rows=1),
        ):
            self.switcher.know(each)

    def _start(self, place: Place, quietly: bool) -> ScriptedInstance:
        self.instances.append(ScriptedInstance(self.loop, place, quietly=quietly))
        return self.instances[-1]

    def switch(self, name: str) -> None:
        self.switcher.switch(name, self.outcomes.append)

    def ask(self, number: int, rows: int = 1) -> None:
        job = Job(
            rows, [100 * number], [1], [100 * number + 50], [1],
            arrived_at=self.loop.time(),
            deadline=float("inf"),
            done=lambda failure: self.ends.__setitem__(number, failure),
            free=lambda: None,
        )  # fmt: skip
        self.engine.submit(job)

    def computing(self, place: int) -> list[int]:
        command = self.instances[place].computing
        return [] if command is None else [int(str(rows.inputs[0])) // 100 for rows in command.rows]

    @property
    def results(self) -> list[str]:
        return [each.result for each in self.outcomes]


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    yield found
    found.switcher.close()
    found.engine.close()


def test_the_old_set_serves_until_the_new_one_is_ready(scene: Scene) -> None:
    scene.switch("fat")
    assert scene.instances[2].quietly
    scene.ask(1)
    assert scene.computing(0) == [1]
    scene.instances[0].answer()
    assert scene.ends == {1: None}
    scene.instances[2].get_ready()
    assert (scene.results, scene.engine.active.name) == (["made"], "fat")
    scene.ask(2)
    assert scene.computing(2) == [2]


def test_a_core_is_waited_for_until_the_batch_on_it_ends(scene: Scene) -> None:
    scene.switch("fat")
    scene.ask(1)
    scene.instances[2].get_ready()
    scene.ask(2)
    assert (scene.computing(0), scene.computing(1), scene.computing(2)) == ([1], [], [])
    scene.instances[0].answer()
    assert scene.computing(2) == [2]


def test_a_core_is_not_waited_for_where_its_batch_takes_far_too_long(scene: Scene) -> None:
    scene.switch("fat")
    scene.ask(1)
    scene.instances[2].get_ready()
    scene.ask(2)
    scene.loop.advance(WAITED_S + 0.1)
    assert (scene.computing(0), scene.computing(2)) == ([1], [2])
    scene.instances[0].answer()
    assert scene.ends == {1: None}


def test_an_instance_on_other_cores_begins_at_once(scene: Scene) -> None:
    scene.switch("mixed")
    scene.ask(1, rows=8)
    assert (scene.computing(0), scene.computing(1)) == ([1], [1])
    scene.instances[2].get_ready()
    scene.ask(2)
    assert scene.computing(2) == [2]


def test_an_instance_that_both_sets_have_is_not_started_again(scene: Scene) -> None:
    scene.switch("mixed")
    assert [each.place.cpus for each in scene.instances] == [(0,), (1,), (2, 3)]
    scene.instances[2].get_ready()
    assert scene.outcomes[0].started == 1
    assert not scene.instances[0].told_to_end


def test_a_set_that_waits_takes_over_at_once(scene: Scene) -> None:
    scene.switch("fat")
    scene.instances[2].get_ready()
    scene.switch("thin")
    scene.switch("fat")
    assert scene.results == ["made", "made", "made"]
    assert [each.started for each in scene.outcomes] == [1, 0, 0]
    assert len(scene.instances) == 3


def test_what_memory_does_not_allow_to_wait_is_let_go_after_its_batch() -> None:
    scene = Scene(most_bytes=1000)
    scene.switch("fat")
    scene.ask(1)
    scene.instances[2].get_ready()
    assert [each.told_to_end for each in scene.instances] == [False, True, False]
    scene.instances[0].answer()
    assert scene.instances[0].told_to_end
    assert scene.ends == {1: None}
    assert scene.engine.crew.restarts == 0


def test_an_instance_that_cannot_be_ready_leaves_the_old_set_serving(scene: Scene) -> None:
    scene.switch("mixed")
    scene.instances[2].refuse_to_prepare()
    (outcome,) = scene.outcomes
    assert outcome.result == "failed"
    assert "cannot be prepared" in outcome.reason
    scene.ask(1)
    assert (scene.engine.active.name, scene.computing(0)) == ("thin", [1])
    scene.loop.advance(100.0)
    assert len(scene.instances) == 3


def test_an_instance_with_other_weights_does_not_serve(scene: Scene) -> None:
    scene.switch("fat")
    scene.instances[2].get_ready(weights="of a file that was replaced")
    assert scene.instances[2].told_to_end
    scene.instances[2].be_gone()
    scene.loop.advance(1.0)
    assert "weights of the model differ from those" in scene.outcomes[0].reason
    assert scene.engine.active.name == "thin"


def test_an_instance_that_takes_too_long_fails_the_change(scene: Scene) -> None:
    scene.switch("fat")
    scene.loop.advance(1801.0)
    scene.instances[2].be_gone()
    scene.loop.advance(1.0)
    assert "not ready in time" in scene.outcomes[0].reason


def test_of_several_wishes_the_last_one_is_followed(scene: Scene) -> None:
    scene.switch("fat")
    scene.switch("mixed")
    scene.switch("small")
    assert scene.results == ["replaced"]
    assert scene.outcomes[0].reason == "small was asked for after it"
    scene.instances[2].get_ready()
    assert [(each.set, each.result) for each in scene.outcomes[1:]] == [
        ("fat", "made"),
        ("small", "made"),
    ]
    assert {"switch queued", "switch replaced"} <= {
        str(each["event"]) for each in scene.switcher.events
    }


def test_what_memory_cannot_hold_is_refused(scene: Scene) -> None:
    poor = Scene(free=999)
    poor.switch("fat")
    assert poor.results == ["refused"]
    assert "need about 1000 B of memory, but only 999 B are free" in poor.outcomes[0].reason
    poor.switch("thin")
    assert poor.outcomes[1].reason == "it serves already"


def test_a_parked_instance_that_dies_is_started_quietly_and_given_up_in_the_end(
    scene: Scene,
) -> None:
    scene.switch("fat")
    scene.instances[2].get_ready()
    scene.instances[0].die(gone=True)
    scene.loop.advance(0.2)
    assert (scene.instances[3].place.cpus, scene.instances[3].quietly) == ((0,), True)
    for _ in range(crew.ATTEMPTS):
        scene.loop.advance(10.0)
        scene.instances[-1].refuse_to_prepare()
    scene.loop.advance(100.0)
    started = len(scene.instances)
    scene.switch("thin")
    assert len(scene.instances) == started + 1
    scene.instances[-1].get_ready()
    assert scene.engine.active.name == "thin"


def test_a_batch_that_was_lost_runs_again_on_the_new_set_in_parts_that_it_takes(
    scene: Scene,
) -> None:
    scene.ask(1, rows=4)
    scene.switch("small")
    scene.instances[2].get_ready()
    lost = [each for each in scene.instances[:2] if each.computing]
    for instance in lost:
        instance.die(gone=True)
    for _ in range(4):
        assert scene.instances[2].computing is not None
        assert [rows.count for rows in scene.instances[2].computing.rows] == [1]
        scene.instances[2].answer()
    assert scene.ends == {1: None}


def test_the_end_of_a_server_ends_wishes(scene: Scene) -> None:
    scene.switch("fat")
    scene.switch("mixed")
    scene.switcher.close()
    assert [each.reason for each in scene.outcomes] == ["the server was stopped"] * 2


def test_arrivals_are_told(scene: Scene) -> None:
    scene.ask(1, rows=3)
    assert scene.heard == [(1000.0, 3)]


def lose_the_active(scene: Scene) -> None:
    """Instances of "thin" die faster than they can be started again, until "fat" serves."""
    for _ in range(6):
        for instance in list(scene.instances):
            if instance.place.threads == 1 and not instance.gone:
                instance.die(gone=True)
        scene.loop.advance(5.0)
        if scene.engine.active.name == "fat":
            return


def test_a_set_that_waits_warm_serves_where_the_active_one_is_lost(scene: Scene) -> None:
    scene.switch("fat")
    scene.instances[2].get_ready()
    scene.switch("thin")
    assert scene.engine.active.name == "thin"
    lose_the_active(scene)
    assert scene.engine.active.name == "fat"
    assert "set lost" in [each["event"] for each in scene.switcher.events]
    scene.ask(1)
    assert scene.computing(2) == [1]


def test_an_instance_that_is_killed_while_it_prepares_is_started_again(scene: Scene) -> None:
    scene.switch("fat")
    scene.instances[2].die(gone=True)
    scene.loop.advance(0.2)
    assert (scene.results, scene.instances[3].place.cpus) == ([], (0, 1))
    scene.instances[3].get_ready()
    assert scene.results == ["made"]
    scene.switch("mixed")
    for _ in range(crew.ATTEMPTS):
        scene.instances[-1].die(gone=True)
        scene.loop.advance(5.0)
    assert scene.results == ["made", "failed"]
    assert scene.engine.active.name == "fat"


def test_a_set_that_waits_for_its_turn_is_not_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switcher, "MOST_SETS", 0)
    scene.switch("fat")
    scene.switch("mixed")
    scene.instances[2].get_ready()
    assert scene.switcher.sets[-1].name == "mixed"
    scene.instances[3].get_ready()
    assert scene.results == ["made", "made"]


def test_a_change_goes_on_where_the_active_set_is_lost_meanwhile(scene: Scene) -> None:
    scene.switch("fat")
    scene.instances[2].get_ready()
    scene.switch("thin")
    scene.switcher.know(set_on("far", (4, 5)))
    scene.switch("far")
    far = scene.instances[-1]
    lose_the_active(scene)
    assert (scene.engine.active.name, scene.results[2:], far.told_to_end) == ("fat", [], False)
    far.get_ready()
    assert (scene.engine.active.name, scene.results[2:]) == ("far", ["made"])
