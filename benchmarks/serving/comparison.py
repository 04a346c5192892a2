"""Compare coresplit with its peers: throughput, latencies, CPU and memory under three loads.

    python benchmarks/serving/comparison.py --environments DIR --out DIR
        [--models inception,resnet50,bert] [--rounds N] [--peers NAMES [--add]]

All servers run the ONNX file that coresplit exports with ONNX Runtime, on the same cores. Writes
``MODEL.json`` into ``--out``, and a page and a text of all models in that folder. With ``--add``
the peers are added to existing results, under the same loads. See README.md in this folder.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import comparison_page
import msgspec
from about import end_with_all, machine_line, own_versions, parser, peer_versions, place_line
from compared import Comparison, Plan, Server, Turn, together
from field import TITLES, Field, options_of, say
from load import Wrong
from targets import Target
from turns import planned, turn_of, words_of


def main() -> None:
    asked = parser(__doc__, rounds=3)
    asked.add_argument("--out", type=Path, required=True, help="folder for the results")
    asked.add_argument("--models", default=",".join(TITLES))
    asked.add_argument("--seconds", type=float, default=3.5, help="approximate length of a load")
    asked.add_argument("--add", action="store_true", help="add the peers to existing results")
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
            found = compared(given, model, before, work, stack)
        whole = together(before, found) if before else found
        file.write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
        for written in comparison_page.write(given.out):
            print(written, flush=True)


def compared(
    asked: argparse.Namespace, model: str, before: Comparison | None, work: Path, stack: ExitStack
) -> Comparison:
    """Measure a model; use the loads of ``before`` if given, and leave out its servers."""
    began = time.time()
    field = Field(asked, model, work, stack)
    own = field.own
    now = planned(own, field.sent(own), field.place, asked.seconds)
    field.program.end()
    plan = before.plan if before else now
    say(f"{TITLES[model]}: {plan}")
    known = {each.label for each in before.servers} if before else set()
    servers = [own, *(each for each in field.others if each.label not in known)]
    turns: list[Turn] = []
    for number in range(asked.rounds):
        turns += one_round(field, servers, plan, number)
        say(f"round {number + 1} of {asked.rounds}")
    measured = {turn.server for turn in turns}
    return Comparison(
        model=model,
        title=TITLES[model],
        created_at=began,
        about=(
            ("machine", machine_line()),
            ("cores", place_line(asked)),
            ("versions", own_versions()),
            ("peers", ", ".join(text for _, text in peer_versions(asked))),
            ("coresplit", field.reasons()),
            ("outputs", f"{field.apart:.1e} apart at most, of the largest number"),
            ("rounds", str(asked.rounds)),
            ("took", f"{(time.time() - began) / 60:.1f} min"),
        ),
        plan=plan,
        loads=words_of(plan),
        own=own.label,
        servers=tuple(
            Server(label=each.label, name=each.name, setting=each.setting, options=options_of(each))
            for each in (own, *field.others)
            if each.label in measured
        ),
        left_out=tuple(field.left_out),
        turns=tuple(turns),
    )


def one_round(field: Field, servers: Sequence[Target], plan: Plan, number: int) -> list[Turn]:
    """Measure every server once, in a new random order, each freshly started and alone.

    Two processes of one server may differ by a quarter, depending on the memory that they got.
    """
    found: list[Turn] = []
    for target in random.Random(number).sample(servers, len(servers)):
        program = field.started(target)
        if program is None:
            continue
        try:
            found += turn_of(program, target, field.sent(target), field.place, plan, number=number)
        except Wrong as error:
            field.leave_out(f"{target.label} in round {number + 1}: {error}")
        finally:
            program.end()
    return found


if __name__ == "__main__":
    main()
