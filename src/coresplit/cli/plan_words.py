"""A plan as a person and as a script read it."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from coresplit.cli.planning import Answer
from coresplit.planner import (
    Option,
    Outcome,
    Plan,
    Speedup,
    explain,
    on_fewer_cores,
    outcome_of,
)
from coresplit.records import Estimate, Split, Verification
from coresplit.stats.summary import MIN_INTERVAL_SAMPLES
from coresplit.units import format_cores, format_duration, format_share

SETTINGS = {
    "isolated": "measured alone: instances that run together may be slower than this",
    "packed": "measured with every core busy",
}
DOUBTS = {
    "light": "from few samples",
    "unstable": "from noisy samples",
    "estimated": "estimated, not measured",
    "scaled": "measured alone, and scaled as other cells are slower with every core busy",
    "interpolated": "between two measured batches",
}


def document(answer: Answer, verification: Verification | None) -> dict[str, object]:
    """The plan as JSON; all durations in seconds."""
    plan = answer.plan
    fat, thin = plan.speedup("fat"), plan.speedup("thin")
    return {
        "batch": plan.batch,
        "cores": plan.cores,
        "optimization": plan.optimization,
        "mapping": plan.mapping,
        "allocator": plan.allocator,
        "setting": plan.setting,
        **_option(plan.best),
        "speedup_over_fat": fat and fat.ratio,
        "speedup_over_thin": thin and thin.ratio,
        "tied_with": [name for name, each in (("fat", fat), ("thin", thin)) if each and each.tie],
        "noise_floor": plan.noise,
        "slo_s": answer.limit,
        "fat": plan.fat and _option(plan.fat),
        "thin": plan.thin and _option(plan.thin),
        "front": [_option(option) for option in _fewer(answer)],
        "verified": verification and _verified(plan, verification),
    }


def lines_of(answer: Answer, verification: Verification | None) -> list[str]:
    """One plan for a terminal: the configurations, why, fewer cores, and the proof if any."""
    plan = answer.plan
    lines = [
        f"batch {plan.batch} on {format_cores(plan.cores)}, "
        f"{_how(plan)}, {plan.setting} profile ({SETTINGS[plan.setting]})",
        "",
        *_configurations(plan),
        "",
        explain(plan, answer.profile) + ".",
    ]
    for doubt in plan.best.doubts:
        lines.append(f"Latencies of the split are {DOUBTS[doubt]}.")
    if answer.limit is not None and answer.limit < plan.best.predicted.high:
        lines.append(
            f"Its interval reaches beyond {format_duration(answer.limit)}: it may miss it."
        )
    lines += _beyond_profile(plan)
    if len(plan.best.split.pieces) > 1:
        lines.append(
            "Its instances differ: each is predicted as if only copies of itself ran beside it."
        )
    fewer = _fewer(answer)[1:]
    if fewer:
        lines += ["", "on fewer cores", *_front(fewer)]
    if verification is not None:
        lines += ["", *_verdict_lines(verification, plan.noise)]
    return lines


def table(answers: Sequence[Answer], verified: Iterable[Verification | None]) -> list[str]:
    """The plans of all batches, one line each."""
    rows = [
        ("batch", "split", "optimization", "latency", "over fat", "over thin", "doubts", "verified")
    ]
    for answer, verification in zip(answers, verified, strict=True):
        plan = answer.plan
        rows.append(
            (
                str(plan.batch),
                instances(plan.best.split),
                plan.optimization,
                _latency(plan.best.predicted),
                _rival(plan, "fat"),
                _rival(plan, "thin"),
                ", ".join(plan.best.doubts) or "none",
                "no" if verification is None else outcome_of(verification, plan.noise).verdict,
            )
        )
    return _aligned(rows)


def _verdict_lines(verification: Verification, noise: float | None) -> list[str]:
    """What was run, what had been predicted, and the verdict."""
    outcome = outcome_of(verification, noise)
    rounds = len(verification.trials[0].samples)
    rows = [("verified", "predicted", "measured", "prediction", "split is faster")]
    for name, measured in outcome.measured.items():
        rows.append(
            (
                name,
                format_duration(measured.trial.predicted.latency),
                _latency(measured.latency),
                f"{measured.error:+.1%} off",
                _times(outcome.speedups.get(name)),
            )
        )
    lines = [*_aligned(rows), "", f"{outcome.verdict}: {_verdict(outcome, rounds)}"]
    return lines + _drift(outcome)


def _drift(outcome: Outcome) -> list[str]:
    """That the machine itself has changed, where all that ran is off alike beyond the noise."""
    found = outcome.measured.values()
    longer = [each.latency.latency / each.trial.predicted.latency - 1 for each in found]
    least = min(map(abs, longer))
    if len(longer) < 2 or min(longer) < 0 < max(longer) or least <= outcome.floor:
        return []
    than = "slower" if longer[0] > 0 else "faster"
    return [
        f"All of them were {than} than predicted, by {format_share(least)} or more: the machine is "
        f"{than} now than when the run was measured."
    ]


def instances(split: Split) -> str:
    """``8 x 2 threads, batch 4``, piece by piece."""
    return " + ".join(
        f"{piece.instances} x {piece.threads} {'thread' if piece.threads == 1 else 'threads'}, "
        f"batch {piece.batch}"
        for piece in split.pieces
    )


def _verdict(outcome: Outcome, rounds: int) -> str:
    over = f"over {rounds} {'round' if rounds == 1 else 'rounds'}"
    if not outcome.speedups:
        return f"the split is the only configuration there is; it was run {over}"
    if outcome.verdict == "tied" and rounds < MIN_INTERVAL_SAMPLES:
        return f"nothing can be proven {over}; give it more time: --budget"
    if outcome.beaten_by:
        return f"{' and '.join(outcome.beaten_by)} was faster than the split {over}"
    slower = [name for name, each in outcome.speedups.items() if not each.tie]
    tied = [name for name, each in outcome.speedups.items() if each.tie]
    won = f"the split was faster than {' and '.join(slower)}"
    if not tied:
        return f"{won} {over}"
    floor = f"noise floor {format_share(outcome.floor)}"
    rest = f"no difference from {' and '.join(tied)} was proven {over} ({floor})"
    return f"{won}; {rest}" if slower else rest


def _how(plan: Plan) -> str:
    words = [plan.optimization]
    words += [plan.mapping] if plan.mapping != "sequential" else []
    words += [plan.allocator] if plan.allocator != "default" else []
    return " ".join(words)


def _configurations(plan: Plan) -> list[str]:
    rows = [("", "instances", "latency", "throughput", "split is faster")]
    for name, option, speedup in (
        ("split", plan.best, None),
        ("fat", plan.fat, plan.speedup("fat")),
        ("thin", plan.thin, plan.speedup("thin")),
    ):
        if option is None:
            rows.append((name, "not in the run", "", "", ""))
        elif name != "split" and option.split == plan.best.split:
            rows.append((name, "the split itself", "", "", ""))
        else:
            rows.append((name, *_cells(option), _times(speedup)))
    return _aligned(rows)


def _beyond_profile(plan: Plan) -> list[str]:
    """That fat was not measured, and what to do where it is predicted faster than the split."""
    speedup = plan.speedup("fat")
    if plan.fat is None or speedup is None or plan.fat.split == plan.best.split:
        return []
    if "interpolated" not in plan.fat.doubts:
        return []
    lines = ["Fat was not measured: its latency lies between those of two measured batches."]
    if speedup.ratio < 1 and not speedup.tie:
        lines.append(f"Measure batch {plan.batch}, or plan with --interpolate.")
    return lines


def _fewer(answer: Answer) -> tuple[Option, ...]:
    return tuple(on_fewer_cores(answer.profile, answer.plan.cores, answer.plan.batch))


def _front(options: Sequence[Option]) -> list[str]:
    rows = [("cores", "instances", "latency", "throughput")]
    rows += [(str(option.split.cores), *_cells(option)) for option in options]
    return _aligned(rows)


def _cells(option: Option) -> tuple[str, str, str]:
    return instances(option.split), _latency(option.predicted), f"{option.throughput:.1f}/s"


def _latency(estimate: Estimate) -> str:
    if estimate.low == estimate.high:
        return format_duration(estimate.latency)
    width = (estimate.high - estimate.low) / 2 / estimate.latency
    return f"{format_duration(estimate.latency)} +-{format_share(width)}"


def _rival(plan: Plan, name: Literal["fat", "thin"]) -> str:
    rival = plan.rival(name)
    if rival is None:
        return "not in the run"
    if rival.split == plan.best.split:
        return f"is {name}"
    guess = ", interpolated" if "interpolated" in rival.doubts else ""
    return _times(plan.speedup(name)) + guess


def _times(speedup: Speedup | None) -> str:
    if speedup is None:
        return ""
    tie = " (tie)" if speedup.tie else ""
    if speedup.low == speedup.high:
        return f"{speedup.ratio:.2f}x{tie}"
    return f"{speedup.ratio:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}]{tie}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _option(option: Option) -> dict[str, object]:
    return {
        "latency_s": option.predicted.latency,
        "latency_low_s": option.predicted.low,
        "latency_high_s": option.predicted.high,
        "split": [
            {"instances": each.instances, "threads": each.threads, "batch": each.batch}
            for each in option.split.pieces
        ],
        "doubts": list(option.doubts),
    }


def _verified(plan: Plan, verification: Verification) -> dict[str, object]:
    """The verdict; fat or thin that is the split itself has its latency, one not run has null."""
    outcome = outcome_of(verification, plan.noise)
    found = {each.trial.split: each.latency.latency for each in outcome.measured.values()}
    return {
        "verdict": outcome.verdict,
        "rounds": len(verification.trials[0].samples),
        "split_s": found[plan.best.split],
        "fat_s": plan.fat and found.get(plan.fat.split),
        "thin_s": plan.thin and found.get(plan.thin.split),
        "predicted_s": {
            name: each.trial.predicted.latency for name, each in outcome.measured.items()
        },
        "speedup_over": {
            name: msgspec.structs.asdict(each) for name, each in outcome.speedups.items()
        },
    }
