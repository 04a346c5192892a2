"""coresplit beside its peers: throughput, latencies, CPU and memory under three loads.

    python benchmarks/serving/comparison.py --environments DIR --out DIR
        [--models inception,resnet50,bert] [--rounds N] [--peers NAMES [--add]]

All run the ONNX file that coresplit exports through ONNX Runtime, on the same cores. Writes
``MODEL.json`` into ``--out``, and a page and a text of all models that are there. With ``--add``
the peers are added to results that are there already, under the same loads. See README.md beside
this file.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import comparison_page
import msgspec
from about import (
    end_with_all,
    machine_line,
    own_versions,
    parser,
    peer_versions,
    place_line,
    places,
)
from compared import Comparison, Plan, Server, Turn, together
from load import Wrong
from processes import Program
from sending import MOST_ERROR, Sent, apart, ask, described, outputs_of, requests_of
from targets import Target, coresplit, peers
from turns import Place, planned, turn_of, words_of

from coresplit.cache import Cache
from coresplit.loading.protocols.bodies import ModelMetadata

TITLES = {"inception": "Inception v3", "resnet50": "ResNet-50", "bert": "BERT base"}
BATCH = 8
READY_S = 600.0
_LOOK_S = 0.3
_LEFT = 0.25
"""Of the memory, when no more servers are started beside those that are there."""


def main() -> None:
    asked = parser(__doc__, rounds=3)
    asked.add_argument("--out", type=Path, required=True, help="folder of the results")
    asked.add_argument("--models", default=",".join(TITLES))
    asked.add_argument("--seconds", type=float, default=3.5, help="of a load, about")
    asked.add_argument("--add", action="store_true", help="peers to the results that are there")
    given = asked.parse_args()
    end_with_all()
    given.out.mkdir(parents=True, exist_ok=True)
    for model in given.models.split(","):
        file = given.out / f"{model}.json"
        before = None
        if given.add:
            before = msgspec.json.decode(file.read_bytes(), type=Comparison)
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = _Model(given, model, work, stack).compare(before)
        whole = together(before, found) if before else found
        file.write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
        for written in comparison_page.write(given.out):
            print(written, flush=True)


class _Model:
    """The comparison with one model."""

    def __init__(self, asked: argparse.Namespace, model: str, work: Path, stack: ExitStack) -> None:
        self._asked = asked
        self._model = model
        self._work = work
        self._stack = stack
        self._cpus, client_cpus = places(asked)
        self._place = Place(cpus=tuple(client_cpus), body=work / "body")
        self._left_out: list[str] = []
        self._apart = 0.0

    def compare(self, before: Comparison | None) -> Comparison:
        """Measure, under the loads of an earlier comparison and without its servers."""
        kept = self._asked.environments / "runs-onnxruntime"
        kept.mkdir(exist_ok=True)
        serve = (self._model, "--optimization", "onnxruntime")
        own, wide = (
            coresplit(kept, (*serve, *more), (), setting=setting, model=self._model)
            for setting, more in (("default", ()), ("--batch 32", ("--batch", "32")))
        )
        began = time.time()
        program = self._started(own, None)
        if program is None:
            sys.exit(self._left_out[0])
        path = f"/v2/models/{self._model}"
        self._metadata = msgspec.json.decode(ask(own, path), type=ModelMetadata)
        self._sent = requests_of(self._metadata)
        self._outputs = outputs_of(ask(own, own.path, self._sent["infer"]), self._metadata.outputs)
        now = planned(program, own, self._sent["infer"], self._place, self._asked.seconds)
        plan = before.plan if before else now
        _say(f"{TITLES[self._model]}: {plan}")
        arguments = (
            *("--backend", "onnxruntime", "--model", str(self._exported())),
            *("--inputs", described(self._metadata.inputs)),
            *("--outputs", described(self._metadata.outputs)),
        )
        others = peers(
            self._asked.environments, self._work, self._asked.peers, arguments, (), batch=BATCH
        )
        known = {each.label for each in before.servers} if before else set()
        waiting = [each for each in (wide, *others) if each.label not in known]
        turns = self._in_groups(own, program, waiting, plan)
        measured = {turn.server for turn in turns}
        return Comparison(
            model=self._model,
            title=TITLES[self._model],
            created_at=began,
            about=(
                ("machine", machine_line()),
                ("cores", place_line(self._asked)),
                ("versions", own_versions()),
                ("peers", ", ".join(text for _, text in peer_versions(self._asked))),
                ("coresplit", _reasons(program.log)),
                ("outputs", f"{self._apart:.1e} apart at most, of the largest number"),
                ("rounds", str(self._asked.rounds)),
                ("took", f"{(time.time() - began) / 60:.1f} min"),
            ),
            plan=plan,
            loads=words_of(plan),
            own=own.label,
            servers=tuple(
                Server(
                    label=each.label, name=each.name, setting=each.setting, options=_options(each)
                )
                for each in (own, wide, *others)
                if each.label in measured
            ),
            left_out=tuple(self._left_out),
            turns=tuple(turns),
        )

    def _in_groups(
        self, own: Target, program: Program, waiting: list[Target], plan: Plan
    ) -> list[Turn]:
        """Rounds of as many servers as fit in the memory, then of the next; coresplit is in all."""
        turns: list[Turn] = []
        number = 0
        while waiting:
            servers = {own: program}
            while waiting and (len(servers) == 1 or _free() > _LEFT):
                target = waiting.pop(0)
                started = self._started(target, self._sent[target.form])
                if started is not None:
                    servers[target] = started
            for round_ in range(self._asked.rounds):
                turns += self._round(servers, plan, (number, round_))
            for target, each in servers.items():
                if target is not own:
                    each.end()
            number += 1
        return turns

    def _round(self, servers: dict[Target, Program], plan: Plan, at: tuple[int, int]) -> list[Turn]:
        found: list[Turn] = []
        drawn = random.Random(f"{at}")
        for target in drawn.sample(list(servers), len(servers)):
            sent = self._sent[target.form]
            try:
                found += turn_of(servers[target], target, sent, self._place, plan, at=at)
            except Wrong as error:
                self._leave_out(f"{target.label} in round {at[1] + 1}: {error}")
        _say(f"group {at[0] + 1}, round {at[1] + 1} of {self._asked.rounds}")
        return found

    def _started(self, target: Target, sent: Sent | None) -> Program | None:
        """A server that answers right, standing still; None where it does not.

        Without ``sent`` it is coresplit, which is asked for its model first, and goes on.
        """
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
            self._leave_out(f"{target.label}: {fault}; {' / '.join(last[-3:])}")
            return None
        if sent is not None:
            program.pause()
        _say(f"started {target.label} in {time.monotonic() - begin:.1f} s, {_free():.0%} free")
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
            self._apart = max(self._apart, found)
            return "" if found <= MOST_ERROR else f"its outputs are {found:.1e} from coresplit's"
        return f"it has ended, {fault}" if program.ended else fault

    def _exported(self) -> Path:
        """The ONNX file that coresplit has just loaded."""
        inputs = " ".join(
            f"{each.name}={'x'.join(map(str, each.shape[1:]))}:" for each in self._metadata.inputs
        )
        for entry in Cache().entries():
            names = [each.rpartition(":")[0] + ":" for each in entry.key.get("inputs", "").split()]
            if entry.kind == "onnx" and " ".join(names) == inputs:
                return entry.path / "model.onnx"
        sys.exit(f"there is no ONNX file with inputs {inputs}")

    def _leave_out(self, line: str) -> None:
        for folder, name in ((self._asked.environments, "DIR"), (self._work, "WORK")):
            line = line.replace(str(folder), name)
        self._left_out.append(line)
        print(f"left out: {line}", flush=True)


def _reasons(log: Path) -> str:
    """Which instances coresplit has chosen and why, as it tells its user."""
    lines = [line.strip() for line in log.read_text().splitlines()]
    begin = next(place for place, line in enumerate(lines) if line.startswith("serving "))
    end = next(place for place, line in enumerate(lines) if line.startswith("starting "))
    return "; ".join(lines[begin:end])


def _options(target: Target) -> str:
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


def _free() -> float:
    """The share of the memory that is available."""
    sizes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    found = [int(sizes[name].split()[0]) for name in ("MemAvailable", "MemTotal")]
    return found[0] / found[1]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
