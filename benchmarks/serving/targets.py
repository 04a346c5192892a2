"""The servers to measure: coresplit and its peers, how each is started, and its requests."""

import json
import os
import random
import shutil
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
ORDER = (
    "triton", "mosec", "fastapi", "litserve", "mlserver", "bentoml", "rayserve", "torchserve"
)  # fmt: skip
PUNCTUAL = ("triton", "mosec", "litserve")
"""Peers with a limit on how long a request may wait; after that it is refused, not computed."""
BATCHING = ("triton", "mosec", "litserve", "bentoml", "rayserve", "torchserve")
PATHS = {"triton": "/v2/models/model/infer", "torchserve": "/predictions/model"}
OUTPUTS = 1000
IMAGE = (3, 299, 299)

Form = Literal["infer", "raw"]
"""The Open Inference Protocol with binary data, or only the numbers."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server and its requests; ``name`` and ``setting`` are for people."""

    name: str
    setting: str
    command: tuple[str, ...]
    port: int
    path: str
    form: Form
    shape: tuple[int, ...]
    cwd: Path | None = None
    env: tuple[tuple[str, str], ...] = ()
    takes: str = "x"

    @property
    def label(self) -> str:
        return f"{self.name}, {self.setting}" if self.setting else self.name

    @property
    def floats(self) -> int:
        count = 1
        for each in self.shape:
            count *= each
        return count

    def job(self, connections: int, *, tagged: bool) -> dict[str, Any]:
        """Return the job with which the client opens connections."""
        lead = self._lead() if self.form == "infer" else ""
        more = f"Inference-Header-Content-Length: {len(lead)}\r\n" if lead else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/octet-stream\r\n{more}"
        )
        return {
            "do": "open",
            "host": "127.0.0.1",
            "port": self.port,
            "connections": connections,
            "head": head,
            "lead": lead,
            "floats": self.floats,
            "outputs": OUTPUTS,
            "tagged": tagged,
        }

    def _lead(self) -> str:
        tensor = {
            "name": self.takes,
            "shape": [1, *self.shape],
            "datatype": "FP32",
            "parameters": {"binary_data_size": 4 * self.floats},
        }
        asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
        return json.dumps(asked, separators=(",", ":"))


def shaped(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def tensors(shape: Sequence[int]) -> tuple[str, ...]:
    """Return the options of a peer for a model that turns one tensor into 1,000 numbers."""
    return ("--inputs", f"x:FP32:{shaped(shape)}", "--outputs", f"output:FP32:{OUTPUTS}")


_PORTS = iter(random.sample(range(20_000, 30_000), 10_000))


def free_port() -> int:
    """Return a port that is returned only once and lies below the system's ephemeral ports."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("all ports are in use")


def settings(peer: str, cores: int, batch: int) -> dict[str, tuple[str, ...]]:
    """Return the settings of a peer: its default, and those its documentation recommends."""
    found: dict[str, tuple[str, ...]] = {
        "default": (),
        f"{cores} workers": ("--workers", str(cores), "--threads", "1"),
    }
    if batch > 1 and peer in BATCHING:
        found["batching"] = ("--batch", str(batch), "--delay-ms", "5", "--threads", str(cores))
    return found


def peers(
    environments: Path, work: Path, names: Iterable[str], arguments: Sequence[str],
    shape: tuple[int, ...], *, cores: int, batch: int,
) -> list[Target]:  # fmt: skip
    """Return all installed peers in all their settings; print a line for each missing peer."""
    found = []
    for name in names:
        python = environments / name / "bin" / "python"
        if not python.exists():
            print(f"{name} is left out: there is no environment {python.parents[1]}")
            continue
        for setting, more in settings(name, cores, batch).items():
            port = free_port()
            given = ["--port", str(port), *arguments, *more]
            found.append(
                Target(
                    name=name,
                    setting=setting,
                    command=(str(python), "serve.py", *given),
                    port=port,
                    path=PATHS.get(name, "/infer"),
                    form="infer" if name == "triton" else "raw",
                    shape=shape,
                    cwd=PEERS / name,
                    env=(("PYTHONPATH", str(PEERS)), ("TMPDIR", str(work))),
                )
            )
    return found


def punctual(target: Target, *, queued_s: float, answered_s: float) -> Target:
    """Return the peer with a limit on how long requests may wait, if it supports one.

    mosec counts until the answer, the others until the forward begins.
    """
    if target.name not in PUNCTUAL:
        return target
    seconds = answered_s if target.name == "mosec" else queued_s
    most = ("--timeout-ms", f"{max(1, round(1e3 * seconds))}")
    return msgspec.structs.replace(
        target, command=(*target.command, *most), setting=f"{target.setting}, timeout"
    )


def coresplit(
    work: Path,
    arguments: Sequence[str],
    shape: tuple[int, ...],
    *,
    setting: str,
    model: str,
    takes: str = "x",
    program: Sequence[str] = ("-m", "coresplit"),
) -> Target:
    """Return ``coresplit serve`` as a target, run in the folder that has its runs."""
    port = free_port()
    own = ["serve", *arguments, "--wait", "--port", str(port), "--name", model]
    return Target(
        name="coresplit",
        setting=setting,
        command=(sys.executable, *program, *own),
        port=port,
        path=f"/v2/models/{model}/infer",
        form="infer",
        shape=shape,
        cwd=work,
        env=_with(work),
        takes=takes,
    )


def front(shape: tuple[int, ...], *, http: bool) -> Target:
    """Return coresplit without an instance as a target."""
    port = free_port()
    more = ["http"] if http else []
    return Target(
        name="http alone" if http else "front alone",
        setting="",
        command=(sys.executable, str(HERE / "front.py"), str(port), shaped(shape), *more),
        port=port,
        path="/v2/models/first/infer",
        form="infer",
        shape=shape,
    )


MODULE = """from torch import nn


class First(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :1000]
"""


def _with(folder: Path) -> tuple[tuple[str, str], ...]:
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return (("PYTHONPATH", os.pathsep.join(paths)),)


def first_run(work: Path, shape: tuple[int, ...]) -> Path:
    """Return a run of the model that does nothing, to serve from; measure it if it is missing."""
    from processes import Program  # noqa: PLC0415

    folder = work / f"first-{shaped(shape)}"
    (work / "first_numbers.py").write_text(MODULE)
    if (folder / "run.json").exists():
        return folder
    command = [
        *(sys.executable, "-m", "coresplit", "bench", "first_numbers:First"),
        *("--input", shaped(shape), "--optimizations", "none", "--threads", "1"),
        *("--batches", "1,2,4..32", "--budget", "30s", "--wait", "--out", str(folder)),
    ]
    program = Program(command, work / "bench.log", cwd=work, env=_with(work))
    if program.process.wait(300):
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(f"the run to serve from cannot be measured:\n{program.log.read_text()}")
    return folder
