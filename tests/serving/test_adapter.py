"""A server that follows its load, over instances that take as long as a formula says."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from adapting.loads import FAT, SPLITS, THIN
from scripted import Deaf, Quiet, ScriptedInstance, ScriptedLoop

from coresplit.errors import EnvironmentFault
from coresplit.instance import Infer
from coresplit.serving.adapting.controller import Rules
from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.engine import Engine
from coresplit.serving.queue import Failure, Job
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching.adapter import BARRED_S, PREPARE_AGAIN_S, Adapter
from coresplit.serving.switching.managing import ManagingApp
from coresplit.serving.switching.switcher import Switcher

CPUS = {"fat": ((0, 1),), "thin": ((0,), (1,))}


def set_of(name: str, candidate: Candidate) -> InstanceSet:
    places = tuple(Place(cpus) for cpus in CPUS[name])
    return InstanceSet(
        name=name, places=places, most_rows=candidate.most_rows, latencies=candidate.busy.scaled(1)
    )


class Scene:
    """A server with clients that ask again when they have their answers."""

    def __init__(
        self,
        *,
        most_bytes: float = 1e9,
        timer: Callable[[], float] = lambda: 0.0,
        broken: str = "",
        pace: float = 1.0,
    ) -> None:
        self.loop = ScriptedLoop()
        self.instances: list[ScriptedInstance] = []
        self.failures: list[Failure] = []
        self.answered = 0
        self.clients = self.wanted = 0
        self.broken = broken
        self.pace = pace
        self._numbers = itertools.count()
        with self.loop.running():
            self.engine = Engine(self._start, set_of("fat", FAT), Settings(), Quiet())
            self.engine.open()
            self.loop.advance(1.0)
            self.switcher = Switcher(
                self.engine, Deaf(), self.loop.time, free=lambda: 1e9, most_bytes=most_bytes
            )
            self.switcher.know(set_of("thin", THIN))
            self.adapter = Adapter(
                self.engine, self.switcher, SPLITS, Rules(), prepare_s=1.0, timer=timer
            )
            self.adapter.start()

    def _start(self, place: Place, quietly: bool) -> ScriptedInstance:
        instance = ScriptedInstance(self.loop, place, quietly=quietly, on_send=self._computes)
        self.instances.append(instance)
        if self.broken == "absent" and place.threads == 1:
            raise EnvironmentFault("huge pages are gone; turn them on")
        broken = self.broken == "thin" and place.threads == 1
        told = instance.refuse_to_prepare if broken else instance.get_ready
        self.loop.call_later(0.5, told)
        return instance

    def _computes(self, instance: ScriptedInstance, command: Infer) -> None:
        threads = instance.place.threads
        candidate = FAT if threads == 2 else THIN
        rows = sum(each.count for each in command.rows)
        seconds = self.pace * candidate.busy.seconds(threads, rows)

        def answer() -> None:
            if instance.computing is not None and not instance.cut:
                instance.answer(compute_s=seconds)

        self.loop.call_later(seconds, answer)

    def ask(self) -> None:
        number = next(self._numbers)
        job = Job(
            1, [100 * number], [1], [100 * number + 50], [1],
            arrived_at=self.loop.time(),
            deadline=float("inf"),
            done=self._done,
            free=lambda: None,
        )  # fmt: skip
        self.engine.submit(job)

    def _done(self, failure: Failure | None) -> None:
        if failure is not None:
            self.failures.append(failure)
        self.answered += failure is None
        if self.clients > self.wanted:
            self.clients -= 1
        else:
            self.loop.call_later(0.0, self.ask)

    def load(self, clients: int, seconds: float) -> None:
        self.wanted = clients
        while self.clients < clients:
            self.clients += 1
            self.ask()
        self.loop.advance(seconds)

    @property
    def ready(self) -> list[tuple[int, ...]]:
        return [each.place.cpus for each in self.instances if each.is_ready and not each.cut]


def test_a_server_learns_how_much_slower_than_in_the_run_it_computes() -> None:
    with scene(pace=1.5) as found:
        found.load(1, 30.0)
        controller = found.adapter._controller
        assert controller is not None
        assert controller._paces.of("fat") == pytest.approx(1.5, rel=0.01)
        assert controller._paces.of("thin") == pytest.approx(1.5, rel=0.01)
        found.adapter.stop()
        found.load(1, 5.0)
        assert found.failures == []


@contextmanager
def scene(**given: object) -> Iterator[Scene]:
    found = Scene(**given)  # type: ignore[arg-type]
    yield found
    found.adapter.stop()
    found.switcher.close()
    found.engine.close()


def test_candidates_wait_warm_beside_the_one_that_serves() -> None:
    with scene() as here:
        here.load(1, 3.0)
        assert here.ready == [(0, 1), (0,), (1,)]
        assert [each.quietly for each in here.instances] == [False, True, True]
        assert here.switcher.active == "fat"


def test_what_would_take_too_much_memory_does_not_wait() -> None:
    with scene(most_bytes=2500) as here:
        here.load(1, 2 * PREPARE_AGAIN_S)
        assert here.ready == [(0, 1)]
        assert {each["event"] for each in here.switcher.events} == {"preparation refused"}


def test_the_load_decides_which_set_serves() -> None:
    with scene() as here:
        here.load(1, 30.0)
        for _ in range(3):
            here.load(32, 2.0)
            assert here.switcher.active == "thin"
            here.load(32, 20.0)
            assert here.switcher.active == "thin"
            # long enough to be worth what the next crowd loses at a change
            here.load(1, 300.0)
            assert here.switcher.active == "fat"
        assert here.failures == []
        made = [each for each in here.switcher.events if each["event"] == "switch made"]
        assert len(made) == 6
        here.load(0, 5.0)
        assert here.engine.in_system == 0


def test_a_set_that_somebody_asked_for_stays_until_the_load_decides_again() -> None:
    with scene() as here:
        here.load(1, 10.0)
        here.adapter.stop()
        here.switcher.switch("thin", lambda outcome: None)
        here.load(1, 60.0)
        assert (here.switcher.active, here.adapter.running) == ("thin", False)
        with here.loop.running():
            here.adapter.start()
        here.load(1, 20.0)
        assert here.switcher.active == "fat"


def test_another_set_than_the_one_it_named_is_noticed() -> None:
    with scene() as here:
        here.load(1, 10.0)
        here.switcher.switch("thin", lambda outcome: None)
        assert here.switcher.active == "thin"
        with here.loop.running():
            here.load(1, 20.0)
        assert (here.switcher.active, here.adapter.running) == ("fat", True)


class Client:
    """Somebody who asks for a set, and what was answered."""

    def __init__(self, scene: Scene) -> None:
        self.statuses: list[int] = []
        self.head = SimpleNamespace(method="POST")
        self.app = ManagingApp(
            "m", scene.switcher, scene.engine.crew, no_offer, adapter=scene.adapter
        )

    def ask(self, body: bytes) -> None:
        self.app.complete(self, memoryview(body))  # type: ignore[arg-type]

    def respond(self, status: int, headers: object, parts: object) -> None:
        self.statuses.append(status)


def no_offer(split: str, optimization: str | None) -> InstanceSet:
    raise AssertionError("nobody asked for a split")


def test_a_change_that_fails_leaves_the_load_deciding_and_one_that_is_made_does_not() -> None:
    with scene(most_bytes=2500, broken="thin") as here:
        client = Client(here)
        with here.loop.running():
            client.ask(b'{"set": "thin"}')
            assert not here.adapter.running
            here.loop.advance(1.0)
            assert (client.statuses, here.adapter.running) == ([500], True)
            here.broken = ""
            client.ask(b'{"set": "thin"}')
            here.loop.advance(1.0)
            assert (client.statuses, here.adapter.running) == ([500, 200], False)
            client.app.draining = True
            client.ask(b'{"set": "fat"}')
        assert (client.statuses[-1], here.switcher.active) == (503, "thin")


@pytest.mark.parametrize("broken", ["thin", "absent"])
def test_a_candidate_that_cannot_serve_is_not_asked_for_again_soon(broken: str) -> None:
    with scene(broken=broken) as here:
        here.load(32, BARRED_S - 5.0)
        assert here.switcher.active == "fat"
        begun = [each for each in here.switcher.events if each["event"] == "switch begun"]
        assert len(begun) == 1
        here.broken = ""
        here.load(32, BARRED_S + 10.0)
        assert here.switcher.active == "thin"
        assert here.failures == []


def test_a_replay_that_takes_long_is_made_seldom_and_still_decides() -> None:
    looked = []
    clock = itertools.count()

    def timer() -> float:
        looked.append(here.loop.time())
        return next(clock) * 0.03

    with scene(timer=timer) as here:
        here.load(32, 30.0)
        # twice a look, each of which takes 30 ms of a loop that gives it 3 %
        assert 50 <= len(looked) <= 70
        assert here.switcher.active == "thin"
