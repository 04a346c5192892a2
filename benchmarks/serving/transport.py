"""The cost of sending an image to an instance and its scores back: shared memory or pickle.

    python benchmarks/serving/transport.py [ROUNDS]

The model does almost nothing: it copies the first 1,024 numbers of an image of 3x299x299, so the
rest of a round trip is the transport of 1.07 MB there and 4 KB back. The first way is that of a
server: the image is copied into the arena, ``Infer`` goes over the pipe, and the scores are copied
out. The second sends the pickled tensor over the same kind of pipe to a process that runs the same
model and sends pickled scores back. Both processes run at the same time on the same core; each
round has one trip of each in a random order, and the ratio is the median of those within rounds.
"""

import os
import pickle
import random
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from coresplit.instance import Arena, Infer, Inferred, InstanceSpec, Process, Rows, Serve
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec, parse_input

ROUNDS, FEWEST, WARMUP = 2001, 101, 50
SHAPE = (3, 299, 299)
SCORES = 1024
IMAGE_BYTES, SCORE_BYTES = 4 * 3 * 299 * 299, 4 * SCORES
MODULE = """
from torch import nn

class First(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :1024].clone()
"""
PICKLED = """
import os, pickle, sys, torch
from multiprocessing.connection import Connection
from first_numbers import First

os.sched_setaffinity(0, {int(sys.argv[2])})
torch.set_num_threads(1)
model = First().eval()
with Connection(int(sys.argv[1])) as pipe, torch.inference_mode():
    while True:
        pipe.send_bytes(pickle.dumps(model(pickle.loads(pipe.recv_bytes())), protocol=5))
"""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    machine = inspect()
    *_, core = machine.usable_cores
    image = torch.rand(1, *SHAPE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "first_numbers.py").write_text(MODULE)
        paths = [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        arena = Arena.create(2**22)
        process = instance(arena, core)
        other, pipe = pickling(core)
        try:
            ways = {"arena": shared(process, arena, image), "pickle": pickled(pipe, image)}
            took, computed = timed(ways, rounds)
        finally:
            process.close()
            other.kill()
            other.wait()
    print(f"{machine.cpu_model}, instance on core {core}; {rounds} shuffled rounds, PyTorch")
    print(
        f"{IMAGE_BYTES / 1e6:.2f} MB there, {SCORE_BYTES / 1e3:.1f} KB back; medians, quartiles\n"
    )
    for name, durations in took.items():
        low, middle, high = statistics.quantiles(durations, n=4)
        print(f"{name:<10}{middle * 1e6:>8.0f} us  [{low * 1e6:.0f} to {high * 1e6:.0f}]")
    ratio = statistics.median(b / a for a, b in zip(took["arena"], took["pickle"], strict=True))
    print(f"\nwithin rounds pickle takes {ratio:.2f} times as long")
    inside, forward = (statistics.median(each) * 1e6 for each in zip(*computed, strict=True))
    print(
        f"of the arena's trip, {inside:.0f} us are inside the instance, {forward:.0f} us a forward"
    )


def instance(arena: Arena, core: int) -> Process:
    process = Process(
        InstanceSpec(
            model=ModelSpec(
                name="first_numbers:First", inputs=(parse_input("x=3x299x299"),), trust=True
            ),
            optimization="none",
            cpus=(core,),
            home=(core,),
            serve=Serve(batches=(1,), arena_size=arena.size),
        ),
        arena,
    )
    process.wait_ready()
    return process


def pickling(core: int) -> tuple[subprocess.Popen[bytes], "Connection[bytes, bytes]"]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-c", PICKLED, str(theirs.fileno()), str(core)]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    return process, Connection(ours.detach())


Trip = Callable[[], tuple[torch.Tensor, Inferred | None]]


def shared(process: Process, arena: Arena, image: torch.Tensor) -> Trip:
    data = image.numpy().data.cast("B")
    back = 2**21
    command = Infer(rows=(Rows(count=1, inputs=(0,), outputs=(back,)),))

    def trip() -> tuple[torch.Tensor, Inferred | None]:
        arena.view(0, IMAGE_BYTES)[:] = data
        process.send(command)
        while (reply := process.poll()) is None:
            select.select([process], [], [])
        assert isinstance(reply, Inferred)
        scores = bytearray(arena.view(back, SCORE_BYTES))
        return torch.frombuffer(scores, dtype=torch.float32), reply

    return trip


def pickled(pipe: "Connection[bytes, bytes]", image: torch.Tensor) -> Trip:
    def trip() -> tuple[torch.Tensor, Inferred | None]:
        pipe.send_bytes(pickle.dumps(image, protocol=5))
        return pickle.loads(pipe.recv_bytes())[0], None

    return trip


def timed(
    ways: dict[str, Trip], rounds: int
) -> tuple[dict[str, list[float]], list[tuple[float, float]]]:
    """Return the seconds of all trips, and for the arena those in the instance and the forward."""
    drawn = random.Random(0)
    took: dict[str, list[float]] = {name: [] for name in ways}
    computed = []
    for number in range(WARMUP + rounds):
        for name in drawn.sample(list(ways), len(ways)):
            begin = time.perf_counter()
            scores, reply = ways[name]()
            end = time.perf_counter()
            assert scores.shape == (SCORES,)
            if number >= WARMUP:
                took[name].append(end - begin)
                if reply is not None:
                    computed.append((reply.ended_at - reply.started_at, reply.compute_s))
    return took, computed


if __name__ == "__main__":
    main()
