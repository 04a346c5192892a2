"""Anything may happen in any order: the promises of the engine hold."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scripted import Quiet, ScriptedInstance, ScriptedLoop, set_of

from coresplit.instance import Infer
from coresplit.serving.crew import CrewSettings
from coresplit.serving.dividing import Latencies
from coresplit.serving.engine import Engine
from coresplit.serving.queue import Failure, Job
from coresplit.serving.seats import WAITED_S
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching.switcher import Switcher
from coresplit.serving.switching.wishes import Outcome

SPAN = 1000
"""Bytes between the requests in what stands for the arena; a row has one."""
MOST = 4
PATIENCES = [None, 0.005, 0.02, 0.5, 4.0, 20.0]


class Asked:
    """A request as its client sees it."""

    def __init__(self, number: int, job: Job) -> None:
        self.number = number
        self.job = job
        self.ends: list[Failure | None] = []
        self.freed = 0
        self.left_at_end: int | None = None
        self.runs = Counter[int]()
        self.computed = Counter[int]()
        self.next_row = 0
        self.losses = Counter[int]()
        self.lost_alone: dict[int, bool] = {}

    @property
    def holds(self) -> bool:
        """Whether its memory is still its own."""
        return not self.freed and self.ends != [None]


class Dispatching(RuleBasedStateMachine):
    """A crew of two or three instances of one thread, and clients."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = ScriptedLoop()
        self.asked: list[Asked] = []
        self.instances: list[ScriptedInstance] = []
        self.journal: list[tuple[str, Infer]] = []
        self.unstartable = 0
        self.engine: Engine

    @initialize(count=st.integers(1, 3), most_requests=st.integers(3, 50), ready=st.integers(0, 3))
    def begin(self, count: int, most_requests: int, ready: int) -> None:
        with self.loop.running():
            self.engine = Engine(
                self._start,
                set_of([1] * count, Latencies({(1, 1): 0.01, (1, MOST): 0.03}), most_rows=MOST),
                Settings(most_requests=most_requests, slack_s=5.0, patience=2.0),
                Quiet(),
                crew=CrewSettings(first_pause_s=0.1, prepare_s=60.0),
            )
            self.begun()
            self.engine.open()
        for instance in self.instances[:ready]:
            instance.get_ready()

    def begun(self) -> None:
        """The engine is there."""

    def _start(self, place: Place, quietly: bool) -> ScriptedInstance:
        # one that was let go may end while another one is started for its place
        ending = [each for each in self.instances if each.place == place and not each.gone]
        assert all(each.told_to_end and each.touches is None for each in ending)
        assert quietly == (place not in self.engine.active.places)
        if self.unstartable:
            self.unstartable -= 1
            raise OSError(24, "Too many open files")
        self.instances.append(
            ScriptedInstance(self.loop, place, self.journal, quietly=quietly, on_send=self._sending)
        )
        return self.instances[-1]

    def _sending(self, instance: ScriptedInstance, command: Infer) -> None:
        active = self.engine.active
        assert instance.place in active.places
        assert sum(rows.count for rows in command.rows) <= active.most_rows
        for other in self.instances:
            if other is not instance and other.touches and other.place.meets(instance.place):
                # but for one that takes far longer than it should
                assert self.loop.time() - other.begun_at >= WAITED_S

    def _those(self, **wanted: bool) -> list[ScriptedInstance]:
        there = [each for each in self.instances if not (each.cut or each.told_to_end)]
        return [
            each
            for each in there
            if each.is_ready == wanted.get("ready", True)
            and (each.computing is not None) == wanted.get("computing", False)
        ]

    # clients

    @precondition(lambda self: self.engine.accepting and not self.engine.full)
    @rule(
        rows=st.sampled_from([1, 1, 1, 2, 3, 4, 5, 11]),
        patience=st.sampled_from([None, 0.005, 0.02, 0.5, 4.0, 20.0]),
    )
    def arrive(self, rows: int, patience: float | None) -> None:
        number = len(self.asked)
        now = self.loop.time()
        job = Job(
            rows,
            [SPAN * number],
            [1],
            [SPAN * number + SPAN // 2],
            [1],
            arrived_at=now,
            deadline=now + patience if patience else float("inf"),
            done=lambda failure: self._done(asked, failure),
            free=lambda: self._freed(asked),
        )
        asked = Asked(number, job)
        self.asked.append(asked)
        self.engine.submit(job)

    @precondition(lambda self: bool(self._waiting))
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.engine.forget(data.draw(st.sampled_from(self._waiting)).job)

    @property
    def _waiting(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.ends]

    def _done(self, asked: Asked, failure: Failure | None) -> None:
        asked.ends.append(failure)

    def _freed(self, asked: Asked) -> None:
        asked.freed += 1

    # instances

    @precondition(lambda self: bool(self._those(ready=False)))
    @rule(data=st.data(), well=st.sampled_from([True, True, True, True, None, False]))
    def prepared(self, data: st.DataObject, well: bool | None) -> None:
        instance = data.draw(st.sampled_from(self._those(ready=False)))
        if well or not any(each.is_ready for each in self.instances):
            instance.get_ready()
        elif well is None:
            # the file of the model was replaced
            instance.get_ready(weights="others")
        else:
            instance.refuse_to_prepare()

    @precondition(lambda self: bool(self._those(computing=True)))
    @rule(data=st.data(), compute_s=st.sampled_from([0.001, 0.01, 0.05]))
    def answer(self, data: st.DataObject, compute_s: float) -> None:
        instance = data.draw(st.sampled_from(self._those(computing=True)))
        assert instance.computing is not None
        parts = self._parts(instance.computing)
        refused = data.draw(st.sampled_from([*[-1] * 8, *range(len(parts))]))
        for place, (asked, first, count) in enumerate(parts):
            if place != refused:
                asked.computed.update(range(first, first + count))
        self.loop.advance(data.draw(st.sampled_from([0.0, compute_s])))
        # its deadline may have come
        if instance.computing is not None and not instance.told_to_end:
            instance.answer(refused, compute_s)
        else:
            for place, (asked, first, count) in enumerate(parts):
                if place != refused:
                    asked.computed.subtract(range(first, first + count))

    @precondition(lambda self: bool(self._those(computing=True)))
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(self._those(computing=True)))
        instance.fail()

    @precondition(lambda self: bool([each for each in self.instances if not each.cut]))
    @rule(data=st.data(), gone=st.booleans())
    def die(self, data: st.DataObject, gone: bool) -> None:
        there = [each for each in self.instances if not each.cut]
        data.draw(st.sampled_from(there)).die(gone=gone)

    @precondition(lambda self: bool([each for each in self._those() if not each.unsendable]))
    @rule(data=st.data())
    def cannot_be_sent_to(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._those())).unsendable = True

    @precondition(lambda self: bool(self._dying))
    @rule(data=st.data())
    def be_gone(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._dying)).be_gone()
        self.loop.advance(0.1)

    @property
    def _dying(self) -> list[ScriptedInstance]:
        return [each for each in self.instances if each.cut and not each.gone]

    @precondition(lambda self: not self.unstartable and self.instances[-1].gone)
    @rule(times=st.integers(1, 3))
    def cannot_be_started(self, times: int) -> None:
        self.unstartable = times

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.1, 0.1, 1.0, 6.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.loop.advance(seconds)

    # what is found

    def _parts(self, command: Infer) -> list[tuple[Asked, int, int]]:
        found = []
        for rows in command.rows:
            (at,) = rows.inputs
            assert isinstance(at, int)
            number, first = divmod(at, SPAN)
            assert rows.outputs == (at + SPAN // 2,)
            found.append((self.asked[number], first, rows.count))
        return found

    def _read_journal(self) -> None:
        for what, command in self.journal:
            parts = self._parts(command)
            assert sum(count for _, _, count in parts) <= MOST
            assert len({asked.number for asked, _, _ in parts}) == len(parts)
            for asked, first, count in parts:
                if what == "lost":
                    lost = range(first, first + count)
                    asked.losses.update(lost)
                    asked.lost_alone.update(dict.fromkeys(lost, len(parts) == 1))
                    continue
                asked.runs.update(range(first, first + count))
                assert first <= asked.next_row
                if first == asked.next_row:
                    asked.next_row += count
        self.journal.clear()

    @invariant()
    def what_was_sent_is_in_order_and_no_row_is_run_more_than_three_times(self) -> None:
        self._read_journal()
        for asked in self.asked:
            assert max(asked.runs.values(), default=0) <= 3

    @invariant()
    def every_request_ends_once_and_its_memory_is_freed_once(self) -> None:
        self._read_journal()
        for asked in self.asked:
            assert len(asked.ends) <= 1
            assert asked.freed <= 1
            if asked.ends == [None]:
                assert asked.freed == 0
                assert asked.computed == dict.fromkeys(range(asked.job.rows), 1)
            elif asked.ends:
                (failure,) = asked.ends
                assert failure is not None
                if failure.status == 500:
                    twice = [row for row, count in asked.losses.items() if count >= 2]
                    assert any(asked.lost_alone[row] for row in twice)

    @invariant()
    def no_instance_touches_memory_that_was_given_back(self) -> None:
        for instance in self.instances:
            if instance.touches is not None:
                for asked, _, _ in self._parts(instance.touches):
                    assert asked.holds

    @invariant()
    def memory_of_what_failed_is_held_only_while_an_instance_may_touch_it(self) -> None:
        touched = {
            asked.number
            for instance in self.instances
            if instance.touches is not None and not instance.closed
            for asked, _, _ in self._parts(instance.touches)
        }
        for asked in self.asked:
            if asked.ends and asked.ends != [None] and not asked.freed:
                assert asked.number in touched

    @invariant()
    def no_request_is_there_after_its_deadline(self) -> None:
        for asked in self.asked:
            assert asked.ends or self.loop.time() <= asked.job.deadline

    @invariant()
    def no_instance_is_idle_while_requests_wait(self) -> None:
        busy = [each.place for each in self.instances if each.touches]
        idle = [
            each
            for each in self._those()
            if each.place in self.engine.active.places
            and not each.unsendable
            and not any(place.meets(each.place) for place in busy)
        ]
        assert not idle or not self.engine.queued

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.unstartable = 0
        for _ in range(400):
            if all(asked.ends for asked in self.asked) and not self.engine.working:
                break
            for instance in self.instances:
                if instance.cut and not instance.gone:
                    instance.be_gone()
            for instance in self._those(ready=False):
                instance.get_ready()
            for instance in self._those(computing=True):
                assert instance.computing is not None
                for asked, first, count in self._parts(instance.computing):
                    asked.computed.update(range(first, first + count))
                instance.answer()
            self.loop.advance(0.5)
            self._read_journal()
        self.every_request_ends_once_and_its_memory_is_freed_once()
        for asked in self.asked:
            assert asked.ends, "it was lost"
            assert asked.freed == (asked.ends != [None])
        self.engine.close()


class Closing(Dispatching):
    """As above, and the engine is closed at any moment: everything has ended by then."""

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.engine.close()
        self.every_request_ends_once_and_its_memory_is_freed_once()
        for asked in self.asked:
            assert asked.ends, "it was lost"
            assert asked.freed == (asked.ends != [None])
        assert all(instance.gone for instance in self.instances)
        started = len(self.instances)
        self.loop.advance(1000.0)
        assert len(self.instances) == started


class Wished:
    """A wish for a set as who asked for it sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ends: list[Outcome] = []


class Switching(Dispatching):
    """As above, with sets that share instances and cores, changed at any moment."""

    def begun(self) -> None:
        first = self.engine.active
        last = first.places[-1]
        alone = InstanceSet(
            name="fewer", places=(last,), most_rows=2, latencies=Latencies({(1, 1): 0.01})
        )
        fat = Place((0, 1, 2), "first")
        beside = Place((7,), "first")
        rough = Latencies({(3, 1): 0.01, (1, 1): 0.02})
        self.sets = [
            first,
            alone,
            set_of([1, 1, 1], Latencies({(1, 1): 0.02, (1, 3): 0.05}), "other", 3),
            InstanceSet(name="fat", places=(fat,), most_rows=MOST, latencies=rough),
            InstanceSet(name="more", places=(last, beside), most_rows=MOST, latencies=rough),
            InstanceSet(name="both", places=(fat, beside), most_rows=1, latencies=Latencies({})),
        ]
        self.free = 10_000
        self.wishes: list[Wished] = []
        self.serving = first.name
        self.switcher = Switcher(
            self.engine,
            self,
            self.loop.time,
            free=lambda: self.free,
            most_bytes=4000,
        )
        for each in self.sets:
            self.switcher.know(each)

    @rule(place=st.integers(0, 5))
    def wish(self, place: int) -> None:
        wished = Wished(self.sets[place].name)
        self.wishes.append(wished)
        self.switcher.switch(wished.name, lambda outcome: self._ended(wished, outcome))

    @rule(free=st.sampled_from([0, 1000, 2000, 10_000]))
    def memory_is_taken_by_others(self, free: int) -> None:
        self.free = free

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def all_that_prepare_are_ready(self, seconds: float) -> None:
        for instance in self._those(ready=False):
            instance.get_ready()
        self.loop.advance(seconds)

    def _ended(self, wished: Wished, outcome: Outcome) -> None:
        wished.ends.append(outcome)
        assert outcome.set == wished.name
        assert outcome.result == "made" or outcome.reason

    def switching(self, event: dict[str, object]) -> None:
        """A set that waits warm serves instead of one that is lost, and of no other."""
        if event["event"] == "set lost":
            assert not self.engine.accepting

    def switched(self, outcome: Outcome) -> None:
        """A change was made, or was not."""
        if outcome.result == "made":
            self.serving = outcome.set

    @invariant()
    def every_wish_ends_once_and_only_one_is_followed_at_a_time(self) -> None:
        assert all(len(wished.ends) <= 1 for wished in self.wishes)
        left = [wished.name for wished in self.wishes if not wished.ends]
        there = [self.switcher.preparing, self.switcher.queued]
        assert left == [name for name in there if name is not None]

    @invariant()
    def what_serves_is_what_was_last_changed_to(self) -> None:
        assert self.engine.active.name == self.serving
        assert self.engine.seats == len(self.engine.active.places)

    @invariant()
    def what_is_parked_fits_into_the_memory_for_it(self) -> None:
        if self.switcher.preparing is None:
            active = self.engine.active.places
            parked = {
                each.place
                for each in self.instances
                if not (each.cut or each.told_to_end or each.touches or each.place in active)
            }
            assert 1000 * (len(active) + len(parked)) <= 4000 or not parked

    @invariant()
    def a_place_has_one_instance(self) -> None:
        places = [each.place for each in self.instances if not (each.cut or each.told_to_end)]
        assert len(set(places)) == len(places)

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        super().teardown()
        self.switcher.close()
        assert all(len(wished.ends) == 1 for wished in self.wishes)


class SwitchingAndClosing(Switching, Closing):
    """As above, and closed at any moment."""

    def teardown(self) -> None:
        if hasattr(self, "engine"):
            self.switcher.close()
            Closing.teardown(self)
            assert all(len(wished.ends) == 1 for wished in self.wishes)


QUICK = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestDispatching = Dispatching.TestCase
TestDispatching.settings = QUICK
TestClosing = Closing.TestCase
TestClosing.settings = QUICK
TestSwitching = Switching.TestCase
TestSwitching.settings = QUICK
TestSwitchingAndClosing = SwitchingAndClosing.TestCase
TestSwitchingAndClosing.settings = QUICK
