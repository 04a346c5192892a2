"""Requests that wait for instances, whole or in parts; pure: no clock, no process."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from coresplit.instance import Text


class Job:
    """One request: its rows in the arena, and how far they are.

    ``inputs`` are byte offsets of the first row, or texts; ``row_bytes`` the bytes of a row of each
    input, 0 for a text. ``outputs`` are byte offsets of the first row of each output, ``out_bytes``
    the bytes of a row of each. ``deadline`` is on the monotonic clock, infinite for none. ``done``
    is called once, with None or with what went wrong.
    """

    __slots__ = (
        "arrived_at", "begun_at", "compute_s", "deadline", "done", "ended", "failure", "gone",
        "in_flight", "inputs", "left", "next_row", "out_bytes", "outputs", "row_bytes", "rows",
    )  # fmt: skip

    def __init__(
        self,
        rows: int,
        inputs: Sequence[int | Text],
        row_bytes: Sequence[int],
        outputs: Sequence[int],
        out_bytes: Sequence[int],
        *,
        arrived_at: float,
        deadline: float,
        done: Callable[["Job", "Failure | None"], None],
    ) -> None:
        self.rows = rows
        self.inputs = tuple(inputs)
        self.row_bytes = tuple(row_bytes)
        self.outputs = tuple(outputs)
        self.out_bytes = tuple(out_bytes)
        self.arrived_at = arrived_at
        self.deadline = deadline
        self.done = done
        self.next_row = 0
        self.left = rows
        self.in_flight = 0
        self.begun_at = 0.0
        self.compute_s = 0.0
        self.ended = False
        self.failure: Failure | None = None
        self.gone = False

    def end(self, failure: "Failure | None") -> None:
        """Tell how it ended; harmless when it has ended already."""
        if not self.ended:
            self.ended = True
            self.done(self, failure)


class Failure(msgspec.Struct, frozen=True):
    """Why a request was not answered: a status of HTTP and one sentence."""

    status: int
    message: str


class Part(msgspec.Struct, frozen=True):
    """Rows of one job that go to one instance; ``deaths`` counts instances they died with."""

    job: Job
    first: int
    count: int
    deaths: int = 0


class Queue:
    """First come, first served. Parts that an instance died with come before all others.

    Bounded in requests: ``full`` says whether another one must be refused.
    """

    def __init__(self, most_requests: int) -> None:
        self._most = most_requests
        self._waiting: deque[Job] = deque()
        self._again: deque[tuple[Part, ...]] = deque()
        self.rows = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether another request must be refused."""
        return len(self._waiting) >= self._most

    def put(self, job: Job) -> None:
        """Have a request wait."""
        self._waiting.append(job)
        self.rows += job.rows

    def put_back(self, batch: Sequence[Part]) -> None:
        """Have a batch run again, as it was: once more whole, then part by part."""
        alive = tuple(msgspec.structs.replace(part, deaths=part.deaths + 1) for part in batch)
        if alive[0].deaths == 1:
            self._again.append(alive)
        else:
            self._again.extend((part,) for part in alive)

    @property
    def has_again(self) -> bool:
        """Whether a batch waits that must run again."""
        return bool(self._again)

    def take_again(self) -> tuple[Part, ...]:
        """The next batch that must run again."""
        return self._again.popleft()

    def take(self, rows: int) -> list[Part]:
        """Parts of so many rows or fewer, of those that have waited longest."""
        found: list[Part] = []
        while rows > 0 and self._waiting:
            job = self._waiting[0]
            if job.ended or job.gone:
                self._drop(job)
                continue
            count = min(rows, job.rows - job.next_row)
            found.append(Part(job, job.next_row, count))
            job.next_row += count
            self.rows -= count
            rows -= count
            if job.next_row == job.rows:
                self._waiting.popleft()
        return found

    def forget(self, job: Job) -> None:
        """Drop what waits of a job that nobody wants any more."""
        job.gone = True
        if job in self._waiting:
            self._waiting.remove(job)
            self.rows -= job.rows - job.next_row

    def late(self, now: float, least_s: float) -> Iterator[Job]:
        """Drop and give the jobs not begun that cannot be done by their deadline any more."""
        for job in [each for each in self._waiting if each.deadline < now + least_s]:
            if job.next_row == 0:
                self.forget(job)
                yield job

    def everything(self) -> Iterator[Job]:
        """Drop and give every job that waits."""
        while self._waiting:
            job = self._waiting[0]
            self._drop(job)
            yield job
        while self._again:
            yield from (part.job for part in self._again.popleft())

    @property
    def oldest_at(self) -> float | None:
        """When the job that has waited longest came; None without one."""
        return self._waiting[0].arrived_at if self._waiting else None

    def _drop(self, job: Job) -> None:
        self._waiting.popleft()
        self.rows -= job.rows - job.next_row
