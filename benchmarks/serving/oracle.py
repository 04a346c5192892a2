"""Does ``coresplit serve`` answer like Triton? Sends generated valid and invalid requests to both.

    python benchmarks/serving/oracle.py TRITON [REQUESTS [SEED]]

TRITON is a Python 3.11 environment with the packages of ``oracle-requirements.txt``. Both serve the
same models: one adds and subtracts two INT32 inputs, and one for each data type returns its input,
Triton with its Python backend, coresplit with ONNX Runtime. A request is valid, in any of the
forms that the protocol has, or has one mistake; the rest are endpoints without tensors, with
every method. The script compares the class of the status (2xx, 4xx, 5xx) and what a client reads
from an answer: names, types, shapes, values, and which of them are binary. Differences are counted
by kind. Those without a reason in ``oracle_known.py`` are printed in full, and the exit code is 1.
Requests that kill Triton are left out: JSON that is nested 200,000 deep, and a JSON tensor that
claims to have 2**40 rows. Both get 400 here.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from oracle_answers import Answer, ask, meaning
from oracle_endpoints import endpoints
from oracle_known import reason
from oracle_mistakes import MISTAKES
from oracle_requests import Case, Draft, odd_values, raw, right, too_many_rows
from oracle_servers import MODELS, SIMPLE, Model, coresplit, is_ready, triton

REQUESTS, SEED = 4000, 1
SHOWN = 3
"""Number of examples shown for a difference without a reason."""


class Difference(msgspec.Struct, frozen=True):
    """One request that was answered differently."""

    case: Case
    theirs: Answer
    ours: Answer
    what: str


def cases(model: Model, count: int, dice: random.Random) -> Iterator[Case]:
    """Yield the requests: a third are valid, the others have each mistake in turn, shuffled."""
    if model is SIMPLE:
        yield from endpoints(model.name)
    kinds: list[str] = []
    for _ in range(count // 3):
        alone = len(model.inputs) == 1 and dice.random() < 0.3
        yield (raw if alone else right)(model, dice)
    for _ in range(3):
        yield too_many_rows(model, dice)
    for _ in range(count - count // 3):
        kinds = kinds or dice.sample(list(MISTAKES), len(MISTAKES))
        kind = kinds.pop()
        binary, change = MISTAKES[kind]
        draft = Draft(model, dice, binary)
        if not draft.tail and binary:
            continue
        change(draft)
        yield draft.built(kind)
    for kind, array in odd_values(model):
        draft = Draft(model, dice, True)
        draft.inputs, draft.tail = [], []
        for name in model.inputs:
            draft.add(name, array, True)
        for binary in (False, True):
            draft.top["parameters"] = {"binary_data_output": binary}
            yield draft.built(f"{kind}, {'binary' if binary else 'JSON'} wanted")


def compared(case: Case, theirs: Answer, ours: Answer, model: str) -> str:
    """Return what differs, or an empty string."""
    if theirs.group != ours.group:
        return f"{theirs.group} there, {ours.group} here"
    if ours.status >= 400 and case.method != "HEAD" and not ours.reason:
        return "refused here without a reason"
    found = []
    for name, answer in (("there", theirs), ("here", ours)):
        try:
            found.append(meaning(case, answer, model))
        except Exception as error:  # anything that a client could not read
            return f"what comes {name} cannot be read: {type(error).__name__}: {error}"
    return "" if found[0] == found[1] else "another answer"


def main() -> None:
    """Send the requests to both servers, and print the differences."""
    environment = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else REQUESTS
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else SEED
    asked: Counter[str] = Counter()
    differences: list[Difference] = []
    with triton(environment) as there:
        for model in MODELS:
            dice = random.Random(f"{seed} {model.name}")
            share = count // 4 if model is SIMPLE else count * 3 // 4 // (len(MODELS) - 1)
            with coresplit(model) as here:
                if model is SIMPLE:
                    print(" and ".join(_version(port) for port in (there, here)))
                for case in cases(model, share, dice):
                    theirs, ours = ask(there, case), ask(here, case)
                    if not theirs.status and not is_ready(there):
                        raise SystemExit(f"Triton died of {case}")
                    asked[theirs.group] += 1
                    what = compared(case, theirs, ours, model.name)
                    if what:
                        differences.append(Difference(case, theirs, ours, what))
                if not is_ready(here):
                    raise SystemExit("coresplit is not ready any more")
    sys.exit(_told(asked, differences, seed))


def _version(port: int) -> str:
    said = json.loads(ask(port, Case("version", "GET", "/v2")).body)
    return f"{said['name']} {said['version']}"


def _told(asked: Counter[str], differences: list[Difference], seed: int) -> int:
    groups = ", ".join(f"{number} {group}" for group, number in sorted(asked.items()))
    print(
        f"{asked.total()} requests to {len(MODELS)} models, seed {seed}; Triton answered {groups}"
    )
    print(f"{asked.total() - len(differences)} were answered alike")
    explained: dict[str, Counter[str]] = {}
    strange: dict[tuple[str, str], list[Difference]] = {}
    for each in differences:
        why = reason(each.case, each.theirs, each.ours, each.what)
        if why:
            explained.setdefault(why, Counter())[f"{each.case.kind} ({each.what})"] += 1
        else:
            strange.setdefault((each.case.kind, each.what), []).append(each)
    for why, kinds in explained.items():
        print(f"\n{kinds.total()} differ: {why}")
        for kind, number in sorted(kinds.items()):
            print(f"  {number:4}  {kind}")
    for (kind, what), found in strange.items():
        print(f"\nWITHOUT A REASON, {len(found)}: {kind} ({what})")
        for each in found[:SHOWN]:
            print(f"  {each.case.method} {each.case.target} {dict(each.case.headers)}")
            print(f"    {each.case.body[:300]!r}")
            print(f"    there {each.theirs.status} {_shown(each.theirs)}")
            print(f"    here  {each.ours.status} {_shown(each.ours)}")
    return 1 if strange else 0


def _shown(answer: Answer) -> str:
    return answer.error if answer.status >= 300 else f"{answer.headers} {answer.body[:600]!r}"


if __name__ == "__main__":
    main()
