"""A plan as text."""

from collections.abc import Iterable, Sequence

from coresplit.format import format_cores, format_duration, format_share
from coresplit.planner import (
    RIVALS,
    Option,
    Outcome,
    Plan,
    Rival,
    Speedup,
    explain,
    front_of,
    outcome_of,
    superlinear,
)
from coresplit.records import UNCHECKED, Interval, Split, Verification
from coresplit.stats.difference import MARGIN
from coresplit.workflows.planning import Answer
from coresplit.workflows.showing.text_table import aligned

SETTINGS = {
    "isolated": "measured alone; instances that run together may be slower",
    "packed": "measured next to copies of themselves",
}
DOUBTS = {
    "light": "from few samples",
    "unstable": "from noisy samples",
    "estimated": "estimated, not measured",
    "scaled": "measured alone, and scaled by the slow-down of cells that were measured both ways",
    "interpolated": "interpolated between two measured batches",
}
MIXED = "Mixed split: each prediction assumes identical neighbours."
JUDGEMENTS = {"confirmed": "confirmed", "tied": "too close to call", "refuted": "refuted"}
SAME = f"equivalent within {MARGIN:.0%}".replace("%", " %")
RELATIONS = {
    "faster": "",
    "slower": " slower",
    "equivalent": f" {SAME}",
    "unclear": " too close to call",
}
MANY_ROUNDS = 10


def lines_of(
    answer: Answer, verification: Verification | None, verifying: str = "verify it"
) -> list[str]:
    """Return one plan as text: what to run, the alternatives, the reason, and any verification.

    ``verifying`` says how the plan is verified.
    """
    plan = answer.plan
    lines = [
        f"batch {plan.batch} on {format_cores(plan.cores)}, "
        f"{_how(plan)}, {plan.setting} profile ({SETTINGS[plan.setting]})",
        "",
        f"Run {instances(plan.recommended.split)}: {_latency(plan.recommended.predicted)}, "
        f"{plan.recommended.throughput:.1f}/s.",
        "",
        *_configurations(plan),
        "",
        explain(plan, answer.profile) + ".",
        *_asides(answer, "" if verification is not None else verifying),
    ]
    fewer = front_of(plan, answer.profile)[1:]
    if fewer:
        lines += ["", "on fewer cores", *_front(fewer)]
    if verification is not None:
        lines += ["", *verdict_lines(verification, answer)]
    return lines


def table(answers: Sequence[Answer], verified: Iterable[Verification | None]) -> list[str]:
    """Return the plans of all batches, one line each."""
    rows = [
        (
            "batch", "run", "optimization", "latency", "fastest predicted", "over fat",
            "over thin", "doubts", "verified",
        )
    ]  # fmt: skip
    for answer, verification in zip(answers, verified, strict=True):
        plan = answer.plan
        proof = verification and outcome_of(verification, answer.variance).verdict
        same = plan.recommended.split == plan.fastest.split
        doubts = [*plan.recommended.doubts, *([UNCHECKED] if answer.unchecked else [])]
        rows.append(
            (
                str(plan.batch),
                instances(plan.recommended.split),
                plan.variant.optimization,
                _latency(plan.recommended.predicted),
                "the same" if same else instances(plan.fastest.split),
                _rival(plan, "fat"),
                _rival(plan, "thin"),
                ", ".join(doubts) or "none",
                JUDGEMENTS[proof] if proof else "no",
            )
        )
    return aligned(rows)


def _asides(answer: Answer, verifying: str) -> list[str]:
    """Return caveats about the numbers, and how to resolve them."""
    plan = answer.plan
    lines = []
    if answer.unchecked:
        lines.append(f"{UNCHECKED.capitalize()}: {answer.unchecked}.")
    if plan.verdict == "too close to call" and verifying and answer.runnable:
        lines.append(f"To find out: {verifying}")
    named = {} if plan.is_rival("fat") else {"the split": plan.fastest}
    named |= {"fat": plan.fat} if plan.fat else {}
    for name, option in named.items():
        lines += [
            f"Latencies of {name} are {DOUBTS[doubt]}."
            for doubt in option.doubts
            if doubt != "mixed"
        ]
    lines += [MIXED] if "mixed" in plan.fastest.doubts else []
    if superlinear(plan, "thin"):
        lines.append(
            f"More than {plan.cores} times as fast as thin is more than {plan.cores} cores can "
            "give: one of the two latencies is probably wrong."
        )
    if answer.close:
        others = (
            f"{_how(other)} ({_latency(other.recommended.predicted)})" for other in answer.close
        )
        lines.append(f"Too close to call with {plan.variant.optimization}: {', '.join(others)}.")
    if plan.limit is not None and plan.limit < plan.recommended.predicted.high:
        lines.append(f"It may take longer than {format_duration(plan.limit)}.")
    return lines


def verdict_lines(verification: Verification, answer: Answer) -> list[str]:
    """Return what was run, what had been predicted, and the verdict."""
    outcome = outcome_of(verification, answer.variance)
    rounds = len(verification.trials[0].samples)
    rows = [("verified", "predicted", "measured", "prediction", "speedup of the split")]
    for name, measured in outcome.measured.items():
        predicted, error = measured.trial.predicted, measured.error
        rows.append(
            (
                name,
                format_duration(predicted.value) if predicted else "not predicted",
                _latency(measured.latency),
                "" if error is None else f"{error:+.1%} off",
                _times(outcome.speedups.get(name)),
            )
        )
    verdict = JUDGEMENTS[outcome.verdict]
    lines = [*aligned(rows), "", f"{verdict}: {_verdict(outcome, rounds, answer)}"]
    return lines + _drift(outcome)


def _drift(outcome: Outcome) -> list[str]:
    """Return a line that the machine has changed, if all that ran is off in one direction."""
    found = [
        (each.latency, each.trial.predicted)
        for each in outcome.measured.values()
        if each.trial.predicted is not None and each.trial.published is None
    ]
    slower = all(latency.low > predicted.high for latency, predicted in found)
    faster = all(latency.high < predicted.low for latency, predicted in found)
    if len(found) < 2 or not (slower or faster):
        return []
    least = min(abs(latency.value / predicted.value - 1) for latency, predicted in found)
    than = "slower" if slower else "faster"
    return [
        f"All of them were {than} than predicted, by {format_share(least)} or more: the machine is "
        f"{than} now than when the run was measured."
    ]


def instances(split: Split) -> str:
    """Return the pieces of a split as ``8 x 2 threads, batch 4``."""
    return " + ".join(
        f"{piece.instances} x {piece.threads} {'thread' if piece.threads == 1 else 'threads'}, "
        f"batch {piece.batch}"
        for piece in split.pieces
    )


def _verdict(outcome: Outcome, rounds: int, answer: Answer) -> str:
    over = f"over {rounds} {'round' if rounds == 1 else 'rounds'}" if rounds else "as published"
    if not outcome.speedups:
        return f"there was nothing to compare it with {over}"
    named = _by_relation(outcome)
    parts = []
    if "slower" in named:
        parts.append(f"{named['slower']} was faster than the split")
    if "faster" in named:
        parts.append(f"the split was faster than {named['faster']}")
    if "equivalent" in named:
        parts.append(f"the split and {named['equivalent']} are {SAME}")
    if "unclear" in named:
        parts.append(f"no difference from {named['unclear']} was shown")
    text = f"{'; '.join(parts)} {over}"
    more = "unclear" in named and rounds < MANY_ROUNDS and answer.runnable
    return f"{text}; give it a larger budget" if more else text


def _by_relation(outcome: Outcome) -> dict[str, str]:
    """Return the names of the rivals by relation, joined."""
    found: dict[str, list[str]] = {}
    for name, each in outcome.speedups.items():
        found.setdefault(each.relation, []).append(name)
    return {relation: " and ".join(names) for relation, names in found.items()}


def _how(plan: Plan) -> str:
    words = [plan.variant.optimization]
    words += [plan.variant.mapping] if plan.variant.mapping != "sequential" else []
    words += [plan.variant.allocator] if plan.variant.allocator != "default" else []
    return " ".join(words)


def _configurations(plan: Plan) -> list[str]:
    """Return the fastest and its rivals; the one to run has a star."""
    rows = [("", "instances", "latency", "throughput", "speedup of the split")]
    rows.append((_starred(plan, "split", plan.fastest), *_cells(plan.fastest), ""))
    for name in RIVALS:
        option = plan.rival(name)
        if option is None:
            rows.append((f"  {name}", "not in the run", "", "", ""))
        elif plan.is_rival(name):
            rows.append((f"  {name}", "the split itself", "", "", ""))
        else:
            shown = _times(plan.speedup(name))
            rows.append((_starred(plan, name, option), *_cells(option), shown))
    return aligned(rows)


def _starred(plan: Plan, name: str, option: Option) -> str:
    return f"{'*' if option.split == plan.recommended.split else ' '} {name}"


def _front(options: Sequence[Option]) -> list[str]:
    rows = [("cores", "instances", "latency", "throughput")]
    rows += [(str(option.split.cores), *_cells(option)) for option in options]
    return aligned(rows)


def _cells(option: Option) -> tuple[str, str, str]:
    return instances(option.split), _latency(option.predicted), f"{option.throughput:.1f}/s"


def _latency(estimate: Interval) -> str:
    width = (estimate.high - estimate.low) / 2 / estimate.value
    if width < 5e-4:
        return format_duration(estimate.value)
    return f"{format_duration(estimate.value)} +-{format_share(width)}"


def _rival(plan: Plan, name: Rival) -> str:
    rival = plan.rival(name)
    if rival is None:
        return "not in the run"
    guess = ", interpolated" if "interpolated" in rival.doubts else ""
    if plan.is_rival(name):
        return f"is {name}{guess}"
    return _times(plan.speedup(name)) + guess


def _times(speedup: Speedup | None) -> str:
    if speedup is None:
        return ""
    shown = RELATIONS[speedup.relation]
    if f"{speedup.low:.2f}" == f"{speedup.high:.2f}":
        return f"{speedup.ratio:.2f}x{shown}"
    return f"{speedup.ratio:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}]{shown}"
