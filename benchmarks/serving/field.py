"""The servers of a comparison with one model: started, and asked whether they answer right."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from about import places
from load import Wrong
from processes import Program
from sending import MOST_ERROR, Sent, apart, ask, described, outputs_of, requests_of
from targets import Target, coresplit, peers
from turns import Place

from coresplit.cache import Cache
from coresplit.loading.protocols.bodies import ModelMetadata

TITLES = {"inception": "Inception v3", "resnet50": "ResNet-50", "bert": "BERT base"}
BATCH = 8
READY_S = 600.0
_LOOK_S = 0.3


class Field:
    """coresplit, which has begun as ``program``, and its peers with the file that it has exported.

    ``own`` is coresplit as it is by default, ``others`` are yet to be started, ``left_out`` says
    what cannot be measured, and ``apart`` how far outputs were from those of coresplit.
    """

    def __init__(self, asked: argparse.Namespace, model: str, work: Path, stack: ExitStack) -> None:
        self.left_out: list[str] = []
        self.apart = 0.0
        self._environments: Path = asked.environments
        self._work = work
        self._stack = stack
        self._cpus, client_cpus = places(asked)
        self.place = Place(cpus=tuple(client_cpus), body=work / "body")
        self._kept = asked.environments / "runs-onnxruntime"
        self._kept.mkdir(exist_ok=True)
        self._model = model
        self.own = self.coresplit()
        started = self._started(self.own, None)
        if started is None:
            sys.exit(self.left_out[0])
        self.program = started
        path = f"/v2/models/{model}"
        self._metadata = msgspec.json.decode(ask(self.own, path), type=ModelMetadata)
        self._sent = requests_of(self._metadata)
        answer = ask(self.own, self.own.path, self.sent(self.own))
        self._outputs = outputs_of(answer, self._metadata.outputs)
        arguments = (
            *("--backend", "onnxruntime", "--model", str(self._exported())),
            *("--inputs", described(self._metadata.inputs)),
            *("--outputs", described(self._metadata.outputs)),
        )
        self.others = (
            self.coresplit("--batch", "32"),
            *peers(
                asked.environments, work, asked.peers, arguments, (),
                cores=len(self._cpus), batch=BATCH,
            ),
        )  # fmt: skip

    def coresplit(self, *more: str, setting: str = "") -> Target:
        """coresplit with so many more options than by default."""
        words = (self._model, "--optimization", "onnxruntime", *more)
        setting = setting or " ".join(more) or "default"
        return coresplit(self._kept, words, (), setting=setting, model=self._model)

    def sent(self, target: Target) -> Sent:
        """The request that a server gets."""
        return self._sent[target.form]

    def reasons(self) -> str:
        """Which instances coresplit has chosen and why, as it tells its user."""
        lines = [line.strip() for line in self.program.log.read_text().splitlines()]
        begin = next(place for place, line in enumerate(lines) if line.startswith("serving "))
        end = next(place for place, line in enumerate(lines) if line.startswith("starting "))
        return "; ".join(lines[begin:end])

    def started(self, target: Target) -> Program | None:
        """A server that answers right; None where it does not."""
        return self._started(target, self.sent(target))

    def leave_out(self, line: str) -> None:
        """Say that something cannot be measured."""
        for folder, name in ((self._environments, "DIR"), (self._work, "WORK")):
            line = line.replace(str(folder), name)
        self.left_out.append(line)
        print(f"left out: {line}", flush=True)

    def _started(self, target: Target, sent: Sent | None) -> Program | None:
        """Without ``sent`` it is coresplit, which is asked for its model."""
        log = self._work / f"{target.label}.log".replace("/", "-")
        program = Program(
            target.command, log, cwd=target.cwd, env=target.env, cpus=self._cpus
        )  # fmt: skip
        self._stack.callback(program.end)
        begin = time.monotonic()
        fault = self._awaited(program, target, sent)
        if fault:
            program.end()
            last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            self.leave_out(f"{target.label}: {fault}; {' / '.join(last[-3:])}")
            return None
        say(f"started {target.label} in {time.monotonic() - begin:.1f} s")
        return program

    def _awaited(self, program: Program, target: Target, sent: Sent | None) -> str:
        """What is wrong where a server does not answer in time; empty where it does."""
        end = time.monotonic() + READY_S
        fault = "it was not ready in time"
        path = target.path.removesuffix("/infer") if sent is None else target.path
        while time.monotonic() < end and not program.ended:
            try:
                answer = ask(target, path, sent)
            except Wrong as error:
                fault = str(error)
                time.sleep(_LOOK_S)
                continue
            if sent is None:
                return ""
            try:
                found = apart(self._outputs, outputs_of(answer, self._metadata.outputs))
            except Wrong as error:
                return str(error)
            self.apart = max(self.apart, found)
            return "" if found <= MOST_ERROR else f"its outputs are {found:.1e} from coresplit's"
        return f"it has ended, {fault}" if program.ended else fault

    def _exported(self) -> Path:
        """The ONNX file that coresplit has just loaded."""
        inputs = " ".join(
            f"{each.name}={'x'.join(map(str, each.shape[1:]))}:" for each in self._metadata.inputs
        )
        for entry in Cache().entries():
            # as ModelInput writes them: name=shape:dtype, and the range of integers
            names = [each.partition(":")[0] + ":" for each in entry.key.get("inputs", "").split()]
            if entry.kind == "onnx" and " ".join(names) == inputs:
                return entry.path / "model.onnx"
        sys.exit(f"there is no ONNX file with inputs {inputs}")


def options_of(target: Target) -> str:
    """What a server was started with, without what differs between runs."""
    hidden = {"--port", "--model", "--inputs", "--outputs", "--backend"}
    words: Sequence[str] = target.command[3 if target.name == "coresplit" else 2 :]
    found, skip = [], False
    for word in words:
        if skip or word in hidden:
            skip = not skip
            continue
        found.append(word)
    return " ".join(found) or "none"


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
