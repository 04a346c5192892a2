"""The instances of a split without a server: each gets rows as fast as it takes them.

    python benchmarks/serving/bare.py MODEL

Run it in a folder with a run of the model; it takes the split that ``coresplit serve MODEL`` would
choose. Prints that choice, then reads one JSON document per line, with the number of clients to
simulate and the seconds, and answers with rows and seconds. Each instance gets the rows that so
many clients would leave for it, up to the most that it takes at once.
"""

import json
import math
import select
import sys
import time
from contextlib import ExitStack, closing

from coresplit.instance import Arena, Infer, Inferred, Interrupt, LocalHost, Process, Rows, Serve
from coresplit.workflows.choosing import choose
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest

IMAGE_BYTES, SCORE_BYTES = 4 * 3 * 299 * 299, 4000


def commands(arena: Arena, instance: int, rows: int, most: int) -> Infer:
    """Return a command for consecutive rows, each with its own image."""
    first = instance * most * (IMAGE_BYTES + SCORE_BYTES)
    places = [first + row * (IMAGE_BYTES + SCORE_BYTES) for row in range(rows)]
    return Infer(
        rows=tuple(Rows(count=1, inputs=(at,), outputs=(at + IMAGE_BYTES,)) for at in places)
    )


def run(processes: list[Process], work: dict[Process, Infer], seconds: float) -> dict[str, object]:
    """Let every instance compute its rows repeatedly for ``seconds``."""
    done = 0
    took = []
    begin = time.perf_counter()
    sent = {}
    for each in processes:
        each.send(work[each])
        sent[each] = begin
    while sent:
        for each in select.select(list(sent), [], [])[0]:
            reply = each.poll()
            if reply is None:
                continue
            assert isinstance(reply, Inferred), reply
            now = time.perf_counter()
            done += len(work[each].rows)
            took.append(now - sent[each])
            if now - begin >= seconds:
                del sent[each]
                continue
            each.send(work[each])
            sent[each] = now
    return {"rows": done, "seconds": time.perf_counter() - begin, "took": took}


def main() -> None:
    with Interrupt() as interrupt, Cores(interrupt, wait=True, note=lambda line: None) as cores:
        request = ServeRequest(target=sys.argv[1], measure=False)
        choice = choose(request, interrupt, cores, lambda line: None, lambda progress: None)
    threads = [each for each, _ in choice.split.cells]
    most = choice.most_rows
    local = LocalHost(choice.spec, choice.machine, "hot")
    places = local.place(threads, choice.variant.mapping)
    size = len(threads) * most * (IMAGE_BYTES + SCORE_BYTES)
    with ExitStack() as stack:
        arena = stack.enter_context(closing(Arena.create(size)))
        batches = tuple(sorted({1, most, *(2**power for power in range(most.bit_length()))}))
        served = Serve(batches=batches, arena_size=size)
        processes = [
            stack.enter_context(
                closing(Process(local.spec_on(choice.variant, cpus, served), arena))
            )
            for cpus in places
        ]
        for each in processes:
            each.wait_ready()
        about = {"optimization": choice.variant.optimization, "reasons": choice.reasons}
        print(json.dumps({**about, "instances": len(threads), "most_rows": most}), flush=True)
        for line in sys.stdin:
            job = json.loads(line)
            busy = processes[: job["clients"]]
            rows = min(most, math.ceil(job["clients"] / len(busy)))
            work = {each: commands(arena, number, rows, most) for number, each in enumerate(busy)}
            print(json.dumps(run(busy, work, job["seconds"])), flush=True)


if __name__ == "__main__":
    main()
