"""The queue of requests, whole or in parts; pure: no clock, no process."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from coresplit.instance import Rows, Text


class Job:
    """One request: its rows in the arena, and its progress.

    ``inputs`` are byte offsets of the first row, or texts; ``row_bytes`` the bytes of a row of each
    input, ignored for a text. ``outputs`` are byte offsets of the first row of each output,
    ``out_bytes`` the bytes of a row of each. ``deadline`` is on the monotonic clock, infinite for
    none. ``done`` is called once, with None or the failure; after a failure ``free`` is called as
    soon as no instance reads or writes its memory any more.
    """

    __slots__ = (
        "arrived_at", "begun_at", "compute_s", "deadline", "done", "ended", "failed", "free",
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
        done: Callable[["Failure | None"], None],
        free: Callable[[], None],
    ) -> None:
        self.rows = rows
        self.inputs = tuple(inputs)
        self.row_bytes = tuple(row_bytes)
        self.outputs = tuple(outputs)
        self.out_bytes = tuple(out_bytes)
        self.arrived_at = arrived_at
        self.deadline = deadline
        self.done = done
        self.free = free
        self.next_row = 0
        self.left = rows
        self.in_flight = 0
        self.begun_at = 0.0
        self.compute_s = 0.0
        self.ended = False
        self.failed = False

    def end(self, failure: "Failure | None") -> None:
        """End the job and call ``done``; does nothing if it has ended already."""
        if not self.ended:
            self.ended = True
            self.failed = failure is not None
            self.done(failure)
            self.leave()

    def leave(self) -> None:
        """Free the memory of a failed job unless an instance still uses it."""
        if self.failed and not self.in_flight:
            self.free()


class Failure(msgspec.Struct, frozen=True):
    """Why a request failed: an HTTP status and one sentence."""

    status: int
    message: str


class Part(msgspec.Struct, frozen=True):
    """Rows of one job for one instance; ``deaths`` counts lost batches that they were part of."""

    job: Job
    first: int
    count: int
    deaths: int = 0


class Queue:
    """First come, first served, except that parts of lost batches come first.

    The number of requests is bounded: if ``full``, the next one must be refused.
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
        """Add a request."""
        self._waiting.append(job)
        self.rows += job.rows

    def put_back(self, batch: Sequence[Part]) -> None:
        """Queue a lost batch again: the first time whole, after that part by part."""
        alive = tuple(msgspec.structs.replace(part, deaths=part.deaths + 1) for part in batch)
        if alive[0].deaths == 1:
            self._again.append(alive)
        else:
            self._again.extend((part,) for part in alive)

    @property
    def has_again(self) -> bool:
        """Whether a lost batch waits with at least one job that has not ended."""
        return any(not part.job.ended for batch in self._again for part in batch)

    def take_again(self, most: int) -> tuple[Part, ...]:
        """Return the next lost batch without jobs that have ended.

        If it has more than ``most`` rows, because its instance took more at once, the rest stays
        first in the queue.
        """
        found: list[Part] = []
        rest: list[Part] = []
        for part in self._again.popleft():
            if part.job.ended:
                continue
            count = min(part.count, most)
            most -= count
            if count:
                found.append(msgspec.structs.replace(part, count=count))
            if count < part.count:
                left = {"first": part.first + count, "count": part.count - count}
                rest.append(msgspec.structs.replace(part, **left))
        if rest:
            self._again.appendleft(tuple(rest))
        return tuple(found)

    def take(self, enough: int, most: int, ends_at: float) -> tuple[list[Part], list[Job]]:
        """Take requests in order until there are ``enough`` rows; return their parts.

        A request is cut only at ``most`` rows.

        Jobs not begun whose deadline is before ``ends_at`` are dropped and returned second, so that
        requests that would be late anyway take no time from others (Gujarati et al., Clockwork,
        OSDI 2020, section 4.2).
        """
        found: list[Part] = []
        late: list[Job] = []
        taken = 0
        while taken < min(enough, most) and self._waiting:
            job = self._waiting[0]
            if job.deadline < ends_at and job.next_row == 0:
                self._drop(job)
                late.append(job)
                continue
            count = min(most - taken, job.rows - job.next_row)
            found.append(Part(job, job.next_row, count))
            job.next_row += count
            self.rows -= count
            taken += count
            if job.next_row == job.rows:
                self._waiting.popleft()
        return found, late

    def forget(self, job: Job) -> None:
        """Drop the waiting rows of a job that has failed."""
        if job in self._waiting:
            self._waiting.remove(job)
            self.rows -= job.rows - job.next_row

    def everything(self) -> Iterator[Job]:
        """Remove and yield all waiting jobs."""
        while self._waiting:
            job = self._waiting[0]
            self._drop(job)
            yield job
        while self._again:
            yield from (part.job for part in self._again.popleft())

    @property
    def oldest_at(self) -> float | None:
        """Arrival time of the job that has waited longest; None if none waits."""
        return self._waiting[0].arrived_at if self._waiting else None

    def _drop(self, job: Job) -> None:
        self._waiting.popleft()
        self.rows -= job.rows - job.next_row


def rows_of(part: Part) -> Rows:
    """Return where an instance reads and writes the rows of a part."""
    job = part.job
    return Rows(
        count=part.count,
        inputs=tuple(
            msgspec.structs.replace(at, skip=part.first)
            if isinstance(at, Text)
            else at + part.first * size
            for at, size in zip(job.inputs, job.row_bytes, strict=True)
        ),
        outputs=tuple(
            at + part.first * size for at, size in zip(job.outputs, job.out_bytes, strict=True)
        ),
    )


def rows_computed(batch: Sequence[Part], refused: Sequence[str]) -> int:
    """Count the rows of a batch, without those whose JSON was refused."""
    pairs = zip(batch, refused, strict=True)
    return sum(part.count for part, wrong in pairs if not wrong)
