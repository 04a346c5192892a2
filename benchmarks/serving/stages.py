"""``coresplit serve`` with time stamps: where the time of a request goes inside the server.

    python benchmarks/serving/stages.py FILE serve ...

The command line is that of coresplit. Functions are wrapped before it starts, so that the product
has no instrumentation; the cost of the wrappers, about a microsecond each, is in the stages. At the
end it writes the stamps of every request to FILE. Use one client, so that requests never overlap.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

PROGRAM = __file__
_STAGES = (
    ("head", "received", "read the body"),
    ("received", "parsed", "parse the request"),
    ("parsed", "dispatched", "take a block, queue, divide"),
    ("dispatched", "sent", "write the command to the pipe"),
    ("sent", "started", "wake the instance"),
    ("started", "ended", "in the instance: copy in, forward, copy out"),
    ("ended", "heard", "wake the front"),
    ("heard", "answered", "read the reply, settle, build the answer"),
    ("answered", "written", "write the answer"),
)
_stamps: list[dict[str, float]] = []


def main() -> None:
    from coresplit.cli import main as run  # noqa: PLC0415 (others import this file for its table)

    file = Path(sys.argv.pop(1))
    wrap()
    try:
        run()
    finally:
        file.write_text(json.dumps(_stamps))


def stamp(name: str) -> None:
    if _stamps:
        _stamps[-1][name] = time.perf_counter()


def stamped(owner: Any, name: str, before: str = "", after: str = "") -> None:  # noqa: ANN401
    """Make a function of ``owner`` stamp the request before and after each call."""
    inner: Callable[..., Any] = getattr(owner, name)

    @wraps(inner)
    def outer(*given: Any, **named: Any) -> Any:  # noqa: ANN401
        if before:
            stamp(before)
        found = inner(*given, **named)
        if after:
            stamp(after)
        return found

    setattr(owner, name, outer)


def wrap() -> None:
    from coresplit.serving import app  # noqa: PLC0415
    from coresplit.serving.crew import Crew  # noqa: PLC0415
    from coresplit.serving.engine import Engine  # noqa: PLC0415
    from coresplit.serving.http.outbox import Outbox  # noqa: PLC0415
    from coresplit.serving.known import KnownRequests  # noqa: PLC0415

    begin, take = app.ServingApp.begin, Engine.computed

    def begun(self: Any, exchange: Any) -> Any:  # noqa: ANN401
        _stamps.append({"head": time.perf_counter()})
        return begin(self, exchange)

    def computed(self: Any, seat: Any, batch: Any, reply: Any) -> None:  # noqa: ANN401
        _stamps[-1] |= {
            "started": reply.started_at, "ended": reply.ended_at, "compute": reply.compute_s,
        }  # fmt: skip
        take(self, seat, batch, reply)

    app.ServingApp.begin = begun  # type: ignore[method-assign]
    Engine.computed = computed  # type: ignore[method-assign]
    stamped(app.ServingApp, "complete", before="received")
    stamped(KnownRequests, "find", after="parsed")
    stamped(Crew, "compute", before="dispatched", after="sent")
    stamped(Crew, "_heard", before="heard")
    stamped(Outbox, "send", before="answered", after="written")


def told(file: Path, whole_s: float) -> str:
    """Return a table of the medians of all stages, and what is left of the p50 ``whole_s``."""
    wanted = {name for first, last, _ in _STAGES for name in (first, last)}
    found = [each for each in json.loads(file.read_text()) if wanted <= each.keys()]
    if not found:
        return "no request was stamped"
    lines = [f"where the time goes, one client, medians of {len(found)} requests in us"]
    total = 0.0
    for first, last, text in _STAGES:
        median = statistics.median(each[last] - each[first] for each in found)
        total += median
        lines.append(f"  {text:<46}{median * 1e6:>7.0f}")
        if first == "started":
            forward = statistics.median(each["compute"] for each in found)
            lines.append(f"    {'of which the forward':<44}{forward * 1e6:>7.0f}")
    lines.append(f"  {'before the head and after the answer':<46}{(whole_s - total) * 1e6:>7.0f}")
    lines.append(f"  {'p50 of the client, without stamps':<46}{whole_s * 1e6:>7.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
