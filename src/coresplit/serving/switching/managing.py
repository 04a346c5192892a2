"""The management endpoint: shows the sets, and changes the active one."""

import hmac
import re
from collections.abc import Callable

import msgspec

from coresplit.errors import CoresplitError
from coresplit.serving.crew import Crew
from coresplit.serving.http.exchange import Exchange
from coresplit.serving.protocol import write_error, write_json
from coresplit.serving.seats import Seat
from coresplit.serving.sets import InstanceSet, expected_memory
from coresplit.serving.switching.adapter import Adapter
from coresplit.serving.switching.switcher import Switcher
from coresplit.serving.switching.wishes import Outcome

MOST_BYTES = 4 << 10
_CONFIG = re.compile(r"/v2/models/([^/]+)/config")
_STATUSES = {"made": 200, "failed": 500, "refused": 400, "replaced": 409}


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's request: a set by name, or a split with an optional optimization.

    Or ``adapt``, to start or stop following the load.
    """

    set: str | None = None
    adapt: bool | None = None
    split: str | None = None
    optimization: str | None = None


Offer = Callable[[str, str | None], InstanceSet]
"""Returns the set of a split and an optimization; None means that of the first set.

Raises a CoresplitError if the set is not possible on this server.
"""


class ManagingApp:
    """The management app of a server's model.

    If ``token`` is not empty, every request needs it. Requests from web pages are refused, because
    a browser on this machine could send them without its user's knowledge.
    """

    def __init__(
        self,
        model: str,
        switcher: Switcher,
        crew: Crew,
        offer: Offer,
        *,
        adapter: Adapter | None = None,
        token: str = "",
    ) -> None:
        self._model = model
        self._switcher = switcher
        self._crew = crew
        self._offer = offer
        self._adapter = adapter
        self._token = token.encode()
        self._followed = False
        """Whether to follow the load again if no requested change succeeds."""
        self.draining = False

    def begin(self, exchange: Exchange) -> memoryview | None:
        """Refuse invalid requests before their body arrives."""
        exchange.most_bytes = MOST_BYTES
        head = exchange.head
        found = _CONFIG.fullmatch(head.path)
        if not self._permitted(head.headers.get("authorization", "")):
            self._error(exchange, 401, "a token is needed", ("WWW-Authenticate", "Bearer"))
        elif "origin" in head.headers:
            self._error(exchange, 403, "web pages may not manage a server")
        elif found is None:
            self._error(exchange, 404, "the only endpoint here is /v2/models/MODEL/config")
        elif found[1] != self._model:
            self._error(exchange, 404, f"there is no model '{found[1][:100]}' here")
        elif head.method not in ("GET", "HEAD", "POST"):
            self._error(exchange, 405, "use GET or POST", ("Allow", "GET, POST"))
        return None

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        """Answer with the state, or make a change."""
        if exchange.head.method != "POST":
            self._respond(exchange, 200, self.state())
            return
        if self.draining:
            self._error(exchange, 503, "the server is shutting down")
            return
        try:
            asked = _asked(body)
            if asked.adapt is not None:
                self._adapt(asked)
                self._respond(exchange, 200, self.state())
                return
            wanted = self._wanted(asked)
        except CoresplitError as error:
            # without the remedy, which names an option of the command line
            self._error(exchange, 400, error.what if error.option else str(error))
            return
        if self._adapter is not None and self._adapter.running:
            # a set that was asked for stays: stop following the load
            self._followed = True
            self._adapter.stop()
        self._switcher.know(wanted)
        self._switcher.switch(wanted.name, lambda outcome: self._ended(exchange, outcome))

    def gone(self, exchange: Exchange) -> None:
        """The client has disconnected: its change is made nevertheless."""

    def state(self) -> dict[str, object]:
        """Return the state of the server, ready to become JSON."""
        switcher = self._switcher
        there = self._crew.places
        return {
            "model": self._model,
            "active": switcher.active,
            "preparing": switcher.preparing,
            "queued": switcher.queued,
            "adapting": self._adapter is not None and self._adapter.running,
            "sets": [self._told(each) for each in switcher.sets],
            "memory": {
                "instances": sum(self._crew.memory.get(place, 0) for place in there),
                "resident_limit": int(switcher.most_bytes),
            },
            "events": list(switcher.events),
        }

    def _told(self, each: InstanceSet) -> dict[str, object]:
        there = self._crew.places
        return {
            "name": each.name,
            "active": each.name == self._switcher.active,
            "resident": self._switcher.resident(each),
            "most_rows": each.most_rows,
            "memory": expected_memory(each.places, self._crew.memory),
            "latencies": [
                {"threads": threads, "rows": rows, "seconds": seconds}
                for (threads, rows), seconds in each.latencies.known.items()
            ],
            "instances": [
                {
                    "cpus": place.cpus,
                    "optimization": place.optimization,
                    "allocator": place.allocator,
                    **_state_of(there.get(place)),
                }
                for place in each.places
            ],
        }

    def _adapt(self, asked: Asked) -> None:
        if asked.set or asked.split or asked.optimization:
            raise CoresplitError("give either a set or 'adapt', not both")
        if self._adapter is None:
            raise CoresplitError("the server was not started to follow the load")
        self._followed = False
        if asked.adapt:
            self._adapter.start()
        else:
            self._adapter.stop()

    def _wanted(self, asked: Asked) -> InstanceSet:
        """Return the requested set; raises CoresplitError."""
        if (asked.set is None) == (asked.split is None):
            raise CoresplitError("give either a set or a split")
        if asked.split is not None:
            return self._offer(asked.split, asked.optimization)
        if asked.optimization is not None:
            raise CoresplitError("a set has its optimization; to choose another, give a split")
        known = {each.name: each for each in self._switcher.sets}
        if asked.set not in known:
            raise CoresplitError(f"there is no set '{str(asked.set)[:100]}' here")
        return known[asked.set]

    def _ended(self, exchange: Exchange, outcome: Outcome) -> None:
        told = msgspec.to_builtins(outcome)
        if outcome.result == "made":
            self._followed = False
        else:
            told["error"] = outcome.reason
        self._respond(exchange, 503 if self.draining else _STATUSES[outcome.result], told)
        rests = self._switcher.preparing is None and self._switcher.queued is None
        if self._followed and rests and not self.draining and self._adapter is not None:
            self._followed = False
            self._adapter.start()

    def _permitted(self, given: str) -> bool:
        if not self._token:
            return True
        kind, _, token = given.partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(token.encode(), self._token)

    def _respond(self, exchange: Exchange, status: int, answer: object) -> None:
        headers, parts = write_json(answer)
        exchange.respond(status, list(headers.items()), parts)

    def _error(
        self, exchange: Exchange, status: int, message: str, *headers: tuple[str, str]
    ) -> None:
        own, parts = write_error(message)
        exchange.respond(status, [*own.items(), *headers], parts)


def _asked(body: memoryview) -> Asked:
    """Parse a body; raises CoresplitError."""
    try:
        return msgspec.json.decode(body, type=Asked)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CoresplitError(
            'the body must be JSON such as {"split": "2x1", "optimization": "script"}'
        ) from error


def _state_of(seat: Seat | None) -> dict[str, object]:
    if seat is None:
        return {"state": "not there"}
    pid = seat.instance.pid if seat.instance is not None else None
    if seat.ready is None:
        return {"state": "preparing" if pid and seat.lost is None else "lost", "pid": pid}
    return {"state": "computing" if seat.batch else "warm", "pid": pid, "number": seat.number}
