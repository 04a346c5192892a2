"""The HTTP app: endpoints, access, memory limits, and passing requests through the engine."""

import hmac
import itertools
import math
import secrets
from collections.abc import Callable
from functools import lru_cache

from coresplit.instance import Arena, Blocks, Text
from coresplit.serving.endpoints import METRICS, State
from coresplit.serving.engine import Engine
from coresplit.serving.http.exchange import Exchange
from coresplit.serving.known import Known, KnownRequests, header_length_of, lead_of
from coresplit.serving.metrics import Metrics, log
from coresplit.serving.protocol import (
    Endpoint,
    Refusal,
    Route,
    Signature,
    check_model,
    route,
    write_error,
)
from coresplit.serving.protocol import Text as Json
from coresplit.serving.queue import Failure, Job

REQUEST_ID = "x-request-id"
TOO_LARGE = "the request and its answer need more memory than the server has for all requests"
MOST_BYTES = 64 << 10
"""Longest body of a request other than inference."""
BUSY = "too many requests are waiting; try later"
# clients request the same few paths repeatedly
_route = lru_cache(maxsize=256)(route)
_OPEN: set[Endpoint] = {"live", "ready", "model_ready"}


class _Pending:
    """An inference request in progress: the arena blocks it holds, and its job once it is parsed.

    Its body begins ``lead`` bytes into its block, which aligns the binary data after the JSON.
    """

    def __init__(self, exchange: Exchange, name: str, arrived_at: float) -> None:
        self.exchange = exchange
        self.name = name
        self.arrived_at = arrived_at
        self.body: int | None = None
        self.lead = lead_of(exchange.head.headers)
        self.answer: int | None = None
        self.job: Job | None = None


class ServingApp:
    """Answers requests for one model.

    ``timeout_s`` is the longest time a request may take, infinite for no limit. If ``token`` is not
    empty, every endpoint except the health ones requires it as ``Authorization: Bearer``.
    """

    def __init__(
        self,
        signature: Signature,
        engine: Engine,
        arena: Arena,
        metrics: Metrics,
        clock: Callable[[], float],
        *,
        timeout_s: float = math.inf,
        token: str = "",
        compress: bool = True,
    ) -> None:
        self._signature = signature
        self._engine = engine
        self._arena = arena
        self._blocks = Blocks(arena.size)
        self._metrics = metrics
        self._clock = clock
        self._timeout_s = timeout_s
        self._token = token.encode()
        self._compress = compress
        self._known = KnownRequests(signature)
        self._row_bytes = tuple(tensor.row_bytes for tensor in signature.inputs)
        self._out_bytes = tuple(tensor.row_bytes for tensor in signature.outputs)
        self._names = secrets.token_hex(4), itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self.draining = False

    @property
    def taken(self) -> int:
        """Bytes of the arena in use by requests and answers."""
        return self._blocks.taken

    def begin(self, exchange: Exchange) -> memoryview | None:
        """Return where to put the body: in the arena for an inference request, else None."""
        head = exchange.head
        method = "GET" if head.method == "HEAD" else head.method
        refused: Refusal | None = None
        found = None
        try:
            if head.path != METRICS:
                found = _route(method, head.path)
                check_model(found, self._signature)
        except Refusal as refusal:
            refused = refusal
        # check the token first, so that 404 and 405 reveal nothing without it
        if not self._permitted(exchange, found):
            headers = [("WWW-Authenticate", "Bearer")]
            self._error(exchange, 401, "a token is needed", headers)
            return None
        if refused is not None:
            self._error(exchange, refused.status, refused.message, list(refused.headers.items()))
            return None
        exchange.note = found.endpoint if found is not None else METRICS
        if exchange.note == "infer":
            return self._begin_infer(exchange)
        exchange.most_bytes = MOST_BYTES
        return None

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        """Handle a request whose body is complete: submit it, or answer at once."""
        if exchange.note != "infer":
            self._answer(exchange, body)
            return
        pending = self._pending.get(id(exchange))
        if pending is None:
            return
        try:
            self._infer(pending, body)
        except Refusal as refusal:
            self._end(pending, refusal.status, refusal.message)

    def gone(self, exchange: Exchange) -> None:
        """The client has disconnected: drop what has not begun."""
        pending = self._pending.pop(id(exchange), None)
        if pending is None:
            return
        if pending.job is None:
            self._free(pending)
        else:
            self._engine.forget(pending.job)

    def _begin_infer(self, exchange: Exchange) -> memoryview | None:
        name = exchange.head.headers.get(REQUEST_ID, "")[:64] or self._name()
        pending = _Pending(exchange, name, self._clock())
        if self.draining or not self._engine.accepting:
            what = "the server is draining" if self.draining else "no instance is ready"
            self._refuse(pending, 503, what, [("Retry-After", "1")])
            return None
        length = exchange.head.length
        if length and not self._blocks.holds(pending.lead + length):
            self._refuse(pending, 413, TOO_LARGE, [])
            return None
        view = self._place(pending, length) if length else None
        if self._engine.full or (length and view is None):
            self._full(pending)
            return None
        self._pending[id(exchange)] = pending
        return view

    def _place(self, pending: _Pending, length: int) -> memoryview | None:
        """Take memory for a body and return it; None if the arena is full."""
        pending.body = block = self._blocks.take(pending.lead + length)
        return None if block is None else self._arena.view(block + pending.lead, length)

    def _name(self) -> str:
        """Return a unique request id."""
        start, numbers = self._names
        return f"{start}-{next(numbers):x}"

    def _infer(self, pending: _Pending, body: memoryview) -> None:
        head = pending.exchange.head
        known = self._known.find(body, header_length_of(head.headers))
        request, size = known.request, sum(known.out_bytes)
        if not self._blocks.holds(pending.lead + len(body), size):
            self._end(pending, 413, TOO_LARGE)
            return
        if self._engine.full:
            # other requests have arrived since this one began
            self._full(pending)
            return
        if pending.body is None:
            # a body of unknown length was received outside the arena
            view = self._place(pending, len(body))
            if view is None or pending.body is None:
                self._full(pending)
                return
            view[:] = body
        pending.answer = self._blocks.take(max(1, size))
        if pending.answer is None:
            self._full(pending)
            return
        base, outputs = pending.body + pending.lead, []
        offset = pending.answer
        for each in known.out_bytes:
            outputs.append(offset)
            offset += each
        asked_s = request.timeout_us * 1e-6 if request.timeout_us else math.inf
        pending.job = Job(
            request.rows,
            [
                Text(offset=base + at.offset, size=at.size, rows=request.rows)
                if isinstance(at, Json)
                else base + at.offset
                for at in request.inputs
            ],
            self._row_bytes,
            outputs,
            self._out_bytes,
            arrived_at=pending.arrived_at,
            deadline=pending.arrived_at + min(self._timeout_s, asked_s),
            done=lambda failure: self._done(pending, known, outputs, failure),
            free=lambda: self._free(pending),
        )
        self._engine.submit(pending.job)

    def _done(
        self, pending: _Pending, known: Known, outputs: list[int], failure: Failure | None
    ) -> None:
        if failure is not None:
            # its memory is freed only once no instance uses it
            self._refuse(pending, failure.status, failure.message, [])
            return
        views = [
            self._arena.view(outputs[wanted.index], known.out_bytes[wanted.index])
            for wanted in known.request.outputs
        ]
        try:
            headers, parts = known.answer(views)
        except Refusal as refusal:
            self._end(pending, refusal.status, refusal.message)
            return
        self._pending.pop(id(pending.exchange), None)
        self._count(pending, 200, known.request.rows)
        pending.exchange.respond(
            200,
            [*headers.items(), (REQUEST_ID, pending.name)],
            parts,
            compress=self._compress,
            on_sent=lambda: self._free(pending),
        )

    def _end(self, pending: _Pending, status: int, message: str) -> None:
        self._refuse(pending, status, message, [])
        self._free(pending)

    def _full(self, pending: _Pending) -> None:
        self._refuse(pending, 429, BUSY, [self._retry_after()])
        self._free(pending)

    def _refuse(
        self, pending: _Pending, status: int, message: str, headers: list[tuple[str, str]]
    ) -> None:
        self._pending.pop(id(pending.exchange), None)
        self._count(pending, status, 0)
        if not pending.exchange.gone:
            headers = [*headers, (REQUEST_ID, pending.name)]
            self._error(pending.exchange, status, message, headers)

    def _count(self, pending: _Pending, status: int, rows: int) -> None:
        now, job = self._clock(), pending.job
        queue_s = job.begun_at - pending.arrived_at if job is not None and job.begun_at else 0.0
        total_s = now - pending.arrived_at
        self._metrics.answered(status, rows, total_s, queue_s)
        if status >= 500 or status == 429:
            log("request refused", id=pending.name, status=status, seconds=round(total_s, 6))

    def _free(self, pending: _Pending) -> None:
        for block in (pending.body, pending.answer):
            if block is not None:
                self._blocks.give(block)
        pending.body = pending.answer = None

    def _answer(self, exchange: Exchange, body: memoryview) -> None:
        self._metrics.seen(self._engine.alive, self._engine.queued, self._blocks.taken)
        is_ready = self._engine.alive > 0 and not self.draining
        state = State(self._signature, self._engine.seats, is_ready, self._metrics)
        try:
            status, headers, parts = state.answer(exchange.note, body)
        except Refusal as refusal:
            self._error(exchange, refusal.status, refusal.message, [])
            return
        exchange.respond(status, list(headers.items()), parts)

    def _permitted(self, exchange: Exchange, found: Route | None) -> bool:
        if not self._token or (found is not None and found.endpoint in _OPEN):
            return True
        kind, _, given = exchange.head.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token)

    def _retry_after(self) -> tuple[str, str]:
        seconds = min(3600, max(1, math.ceil(self._engine.retry_after_s())))
        return "Retry-After", str(seconds)

    def _error(
        self, exchange: Exchange, status: int, message: str, headers: list[tuple[str, str]]
    ) -> None:
        own, parts = write_error(message)
        exchange.respond(status, [*own.items(), *headers], parts)
