"""What is answered to whom: endpoints, limits, and requests on their way through the engine."""

import hmac
import math
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

import coresplit
from coresplit.instance import Arena, Blocks, Text
from coresplit.serving.engine import Engine
from coresplit.serving.http.exchange import Exchange
from coresplit.serving.metrics import Metrics, log
from coresplit.serving.protocol.answers import (
    NotFinite,
    error_of,
    infer_answer,
    model_configuration,
    model_metadata,
    model_statistics,
    repository_index,
    retry_after,
    server_metadata,
)
from coresplit.serving.protocol.requests import (
    BadRequest,
    InferRequest,
    Json,
    parse_infer,
    total_bytes,
)
from coresplit.serving.protocol.routes import Endpoint, Refused, route
from coresplit.serving.protocol.tensors import Signature
from coresplit.serving.queue import Failure, Job

HEADER_LENGTH = "inference-header-content-length"
REQUEST_ID = "x-request-id"


class _Pending:
    """A request on its way: the blocks it holds, and its job once it is parsed."""

    def __init__(self, exchange: Exchange, name: str, arrived_at: float) -> None:
        self.exchange = exchange
        self.name = name
        self.arrived_at = arrived_at
        self.body: int | None = None
        self.answer: int | None = None
        self.job: Job | None = None


class ServingApp:
    """Answers requests for one model.

    ``timeout_s`` is the longest that a request may take, infinite for no limit. ``token`` is asked
    for as ``Authorization: Bearer`` on every endpoint but the health ones.
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
        self._pending: dict[int, _Pending] = {}
        self.draining = False

    def begin(self, exchange: Exchange) -> memoryview | None:
        """Where the body goes: into memory that instances see, if it is one to compute."""
        head = exchange.head
        try:
            endpoint = route(
                head.method, head.path, self._signature.model, self._signature.version
            ).endpoint
        except Refused as refused:
            allow = [("Allow", refused.allow)] if refused.allow else []
            self._error(exchange, refused.status, refused.message, allow)
            return None
        if not self._permitted(exchange, endpoint):
            self._error(exchange, 401, "a token is needed", [("WWW-Authenticate", "Bearer")])
            return None
        if endpoint != "infer":
            self._pending[id(exchange)] = _Pending(exchange, "", self._clock())
            exchange.note = endpoint
            return None
        return self._begin_infer(exchange)

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        """The body is there: compute it, or answer at once."""
        pending = self._pending.get(id(exchange))
        if pending is None:
            return
        if exchange.note != "infer":
            del self._pending[id(exchange)]
            self._answer(exchange, exchange.note)
            return
        try:
            self._infer(pending, body)
        except BadRequest as error:
            self._end(pending, 400, str(error))

    def gone(self, exchange: Exchange) -> None:
        """The client has left: what has not begun is dropped."""
        pending = self._pending.pop(id(exchange), None)
        if pending is None:
            return
        if pending.job is None:
            self._free(pending)
        else:
            # what is being computed still writes into its blocks
            self._engine.forget(pending.job)
            if pending.job.in_flight == 0 and not pending.job.ended:
                pending.job.end(Failure(499, "the client has left"))

    def _begin_infer(self, exchange: Exchange) -> memoryview | None:
        name = exchange.head.headers.get(REQUEST_ID, "")[:64] or uuid.uuid4().hex[:16]
        pending = _Pending(exchange, name, self._clock())
        exchange.note = "infer"
        if self.draining or not self._engine.alive:
            what = "the server is draining" if self.draining else "no instance is ready"
            self._refuse(pending, 503, what, [("Retry-After", "1")])
            return None
        length = exchange.head.length
        block = None if length is None or not length else self._blocks.take(length)
        if self._engine.full or (length and block is None):
            if block is not None:
                self._blocks.give(block)
            wait = retry_after(self._engine.retry_after_s())
            self._refuse(pending, 429, "too many requests wait; try later", [("Retry-After", wait)])
            return None
        pending.body = block
        self._pending[id(exchange)] = pending
        return None if block is None else self._arena.view(block, length or 0)

    def _infer(self, pending: _Pending, body: memoryview) -> None:
        head = pending.exchange.head
        request = parse_infer(body, _header_length(head.headers), self._signature)
        if pending.body is None:
            # a body whose length was not known before lies in memory of its own
            pending.body = self._blocks.take(len(body))
            if pending.body is None:
                self._full(pending)
                return
            self._arena.view(pending.body, len(body))[:] = body
        size = total_bytes(self._signature.outputs, request.rows)
        pending.answer = self._blocks.take(max(1, size))
        if pending.answer is None:
            self._full(pending)
            return
        base, out, outputs = pending.body, pending.answer, []
        for tensor in self._signature.outputs:
            outputs.append(out)
            out += request.rows * tensor.row_bytes
        asked_s = request.timeout_us * 1e-6 if request.timeout_us else math.inf
        pending.job = Job(
            request.rows,
            [
                Text(offset=base + at.offset, size=at.size, rows=request.rows)
                if isinstance(at, Json)
                else base + at.offset
                for at in request.inputs
            ],
            [tensor.row_bytes for tensor in self._signature.inputs],
            outputs,
            [tensor.row_bytes for tensor in self._signature.outputs],
            arrived_at=pending.arrived_at,
            deadline=pending.arrived_at + min(self._timeout_s, asked_s),
            done=lambda job, failure: self._done(pending, request, outputs, failure),
        )
        self._engine.submit(pending.job)

    def _done(
        self,
        pending: _Pending,
        request: InferRequest,
        outputs: list[int],
        failure: Failure | None,
    ) -> None:
        job = pending.job
        if job is not None and job.gone and failure is None:
            failure = Failure(499, "the client has left")
        if failure is not None:
            self._end(pending, failure.status, failure.message)
            return
        views = [
            self._arena.view(at, request.rows * tensor.row_bytes)
            for at, tensor in zip(outputs, self._signature.outputs, strict=True)
        ]
        try:
            headers, parts = infer_answer(self._signature, request, views)
        except NotFinite as error:
            self._end(pending, 500, str(error))
            return
        self._pending.pop(id(pending.exchange), None)
        self._count(pending, 200, request.rows)
        pending.exchange.respond(
            200,
            [*headers, (REQUEST_ID, pending.name)],
            parts,
            compress=self._compress,
            on_sent=lambda: self._free(pending),
        )

    def _end(self, pending: _Pending, status: int, message: str) -> None:
        self._pending.pop(id(pending.exchange), None)
        self._refuse(pending, status, message, [])
        self._free(pending)

    def _full(self, pending: _Pending) -> None:
        self._pending.pop(id(pending.exchange), None)
        wait = retry_after(self._engine.retry_after_s())
        self._refuse(pending, 429, "too many requests wait; try later", [("Retry-After", wait)])
        self._free(pending)

    def _refuse(
        self, pending: _Pending, status: int, message: str, headers: list[tuple[str, str]]
    ) -> None:
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

    def _answer(self, exchange: Exchange, endpoint: Endpoint) -> None:
        alive, signature = self._engine.alive > 0, self._signature
        ready = alive and not self.draining
        if endpoint == "metrics":
            self._metrics.ready_instances.set(self._engine.alive)
            self._metrics.queued_requests.set(self._engine.queued)
            self._metrics.arena_bytes.set(self._blocks.taken)
            plain = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
            exchange.respond(200, plain, [self._metrics.text()])
        elif endpoint == "live":
            self._json(exchange, 200, {"live": True})
        elif endpoint == "ready":
            self._json(exchange, 200 if ready else 503, {"ready": ready})
        elif endpoint == "model_ready":
            found = {"name": signature.model, "ready": ready}
            self._json(exchange, 200 if ready else 503, found)
        elif endpoint == "server":
            self._json(exchange, 200, server_metadata(coresplit.__version__))
        elif endpoint == "model":
            self._json(exchange, 200, model_metadata(signature))
        elif endpoint == "config":
            self._json(exchange, 200, model_configuration(signature, self._engine.seats))
        elif endpoint == "stats":
            self._json(exchange, 200, model_statistics(signature, self._metrics.statistics))
        else:
            self._json(exchange, 200, repository_index(signature, ready=ready))

    def _permitted(self, exchange: Exchange, endpoint: Endpoint) -> bool:
        if not self._token or endpoint in ("live", "ready", "model_ready"):
            return True
        kind, _, given = exchange.head.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.encode(), self._token)

    def _json(self, exchange: Exchange, status: int, found: Any) -> None:  # noqa: ANN401
        body = msgspec.json.encode(found)
        exchange.respond(status, [("Content-Type", "application/json")], [body])

    def _error(
        self, exchange: Exchange, status: int, message: str, headers: list[tuple[str, str]]
    ) -> None:
        kind = [("Content-Type", "application/json"), *headers]
        exchange.respond(status, kind, [error_of(message)])


def _header_length(headers: Any) -> int | None:  # noqa: ANN401
    text = headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest("Inference-Header-Content-Length is not a number")
    return int(text)
