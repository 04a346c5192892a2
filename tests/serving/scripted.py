"""An event loop whose clock moves only when told to, and instances that do what they are told."""

import asyncio
import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from typing import Any, TypeVarTuple

from coresplit.errors import InstanceDied
from coresplit.instance import Infer, Inferred, InstanceSpec, Ready
from coresplit.instance.messages import Command, Failure, Reply
from coresplit.models import ModelSpec
from coresplit.records import ModelInput, ModelOutput
from coresplit.serving.dividing import Latencies
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.switching.wishes import Outcome

_Args = TypeVarTuple("_Args")
SPEC = InstanceSpec(model=ModelSpec(name="fake"), optimization="none", cpus=(0,), home=(0,))


def set_of(
    threads: Sequence[int], latencies: Latencies, name: str = "first", most_rows: int = 4
) -> InstanceSet:
    """Instances of so many threads, on the first cores."""
    free = itertools.count()
    return InstanceSet(
        name=name,
        places=tuple(Place(tuple(itertools.islice(free, each)), name) for each in threads),
        most_rows=most_rows,
        latencies=latencies,
    )


class ScriptedLoop(asyncio.BaseEventLoop):
    """Timers and readers, without any real time or descriptor."""

    def __init__(self) -> None:
        super().__init__()
        # it is never run
        self.close()
        self._now = 1000.0
        self._due: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._heard: dict[int, Callable[[], object]] = {}

    def time(self) -> float:
        """Seconds."""
        return self._now

    def get_debug(self) -> bool:
        """No."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What fails in a call fails the test."""
        raise context["exception"]

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled ones are skipped when they are due."""

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call at this time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._due, (when, next(self._order), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call after so long."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def add_reader(
        self,
        fd: Any,  # noqa: ANN401
        callback: Callable[[*_Args], object],
        *args: *_Args,
    ) -> None:
        """Call whenever it is said to be readable."""
        assert fd not in self._heard
        self._heard[fd] = lambda: callback(*args)

    def remove_reader(self, fd: Any) -> bool:  # noqa: ANN401
        """Call no more."""
        return self._heard.pop(fd, None) is not None

    def readable(self, fd: int) -> None:
        """Say that there is something to read."""
        reader = self._heard.get(fd)
        if reader is not None:
            reader()

    def advance(self, seconds: float) -> None:
        """Let time go by: what is due by then is called at its time, in order."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            when, _, handle = heapq.heappop(self._due)
            self._now = max(self._now, when)
            if not handle.cancelled():
                handle._run()
        self._now = end

    @contextlib.contextmanager
    def running(self) -> Iterator["ScriptedLoop"]:
        """It is the loop of this thread."""
        asyncio._set_running_loop(self)
        try:
            yield self
        finally:
            asyncio._set_running_loop(None)


class ScriptedInstance:
    """An instance that is told when to answer, to die, and to be gone.

    ``journal`` takes in which commands were sent, and which were lost.
    """

    _numbers = itertools.count(2**22 + 1)

    def __init__(
        self,
        loop: ScriptedLoop,
        place: Place,
        journal: list[tuple[str, Infer]] | None = None,
        *,
        quietly: bool = False,
        on_send: Callable[["ScriptedInstance", Infer], None] = lambda instance, command: None,
    ) -> None:
        self.spec = SPEC
        self.pid = next(self._numbers)
        self.place = place
        self.quietly = quietly
        self.on_send = on_send
        self.begun_at = 0.0
        self.computing: Infer | None = None
        self.is_ready = False
        self.unsendable = False
        self.unheard = False
        self.cut = False
        self.told_to_end = False
        self.gone = False
        self.closed = False
        self.journal: list[tuple[str, Infer]] = [] if journal is None else journal
        self._loop = loop
        self._replies: deque[Reply] = deque()

    # what an engine sees

    def fileno(self) -> int:
        """Its number."""
        return self.pid

    def send(self, command: Command) -> None:
        """Begin a command."""
        assert isinstance(command, Infer)
        assert self.is_ready
        assert self.computing is None
        assert not self.told_to_end
        self.on_send(self, command)
        self.journal.append(("sent", command))
        # what could not be sent may have been read all the same
        self.computing = command
        self.begun_at = self._loop.time()
        if self.unsendable or self.cut:
            self._cut()
            raise InstanceDied("it was cut")

    def poll(self) -> Reply | None:
        """What it was told to say."""
        assert not self.closed
        if self._replies:
            return self._replies.popleft()
        if self.cut:
            raise InstanceDied("it was cut")
        return None

    def end(self) -> None:
        """It is gone once the test says so."""
        self.told_to_end = True
        self._cut()

    def death(self) -> InstanceDied | None:
        """How it ended."""
        return InstanceDied("it is gone") if self.gone else None

    def close(self) -> None:
        """It is gone at once."""
        self._cut()
        self.told_to_end = self.gone = self.closed = True

    # what a test tells it

    @property
    def touches(self) -> Infer | None:
        """What it may be reading and writing now."""
        return None if self.gone else self.computing

    def get_ready(self, input_s: float = 0.0, weights: str = "fake") -> None:
        """Be prepared."""
        self.is_ready = True
        self._say(
            Ready(
                threads=1,
                interop_threads=1,
                cpus=(0,),
                allocator="default",
                start_s=0.0,
                prepare_s=0.0,
                input_s=input_s,
                error=0.0,
                largest_tensor=0,
                flops=0,
                inputs=(ModelInput(name="x", shape=(1,), dtype="uint8"),),
                outputs=(ModelOutput(name="output", shape=(1,), dtype="uint8"),),
                parameters=0,
                weights=weights,
                memory=1000,
            )
        )

    def refuse_to_prepare(self) -> None:
        """Fail before ready, and end."""
        self.cut = self.gone = True
        self._say(Failure(kind="prepare", message="it cannot be prepared"))

    def answer(self, refused: int = -1, compute_s: float = 0.01) -> None:
        """Answer what it computes; the part of this place has a wrong text."""
        assert self.computing is not None
        parts, self.computing = len(self.computing.rows), None
        self._say(
            Inferred(
                compute_s=compute_s,
                started_at=0.0,
                ended_at=compute_s,
                refused=tuple("wrong" if place == refused else "" for place in range(parts)),
            )
        )

    def fail(self) -> None:
        """Fail at what it computes, and live on."""
        assert self.computing is not None
        self.journal.append(("lost", self.computing))
        self.computing = None
        self._say(Failure(kind="forward", message="it failed"))

    def die(self, *, gone: bool) -> None:
        """Let its pipe be closed, as when it crashes; it may be a while until it is gone."""
        self._cut()
        self.gone = self.gone or gone
        self._loop.readable(self.pid)

    def be_gone(self) -> None:
        """End for certain."""
        self.gone = True
        self.computing = None

    def say(self, reply: Reply) -> None:
        """Say anything."""
        self._say(reply)

    def _cut(self) -> None:
        if not self.cut and self.computing is not None:
            self.journal.append(("lost", self.computing))
        self.cut = True

    def _say(self, reply: Reply) -> None:
        self._replies.append(reply)
        if not self.unheard:
            self._loop.readable(self.pid)


class Quiet:
    """An observer that only counts."""

    def __init__(self) -> None:
        self.losses = 0

    def computed(self, instance: int, rows: int, compute_s: float) -> None:
        """Nothing."""

    def lost(self, instance: int, reason: str) -> None:
        """One more."""
        self.losses += 1

    def retried(self, requests: int) -> None:
        """Nothing."""

    def ready(self, instance: int, ready: Ready) -> None:
        """Nothing."""


class Deaf:
    """Who hears of changes and does nothing."""

    def switching(self, event: dict[str, object]) -> None:
        """Nothing."""

    def switched(self, outcome: Outcome) -> None:
        """Nothing."""
