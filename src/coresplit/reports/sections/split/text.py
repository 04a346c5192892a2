"""The text of a page on splits: names, table cells, sentences; pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from coresplit.analysis.splits import Choice, Proof, leading
from coresplit.analysis.view import RunView
from coresplit.format import format_duration, listed, on_threads, times_exact
from coresplit.planner import RIVALS, Judgement, Measured, Rival, Speedup
from coresplit.records import Interval, Split
from coresplit.stats.lossy import states_losses, unchecked_of, unchecked_text

SETTINGS = {
    "isolated": (
        "latencies are predicted from cells measured alone; instances that run together may be "
        "slower"
    ),
    "packed": "latencies are predicted from cells measured next to copies of themselves",
}
DOUBTS = {
    "light": "light: from one or two visits",
    "unstable": "unstable: from samples that never settled",
    "estimated": "estimated: from cells that were not measured",
    "interpolated": "interpolated: between two measured batches",
    "mixed": "mixed: instances differ, and each is predicted as if it ran next to copies of itself",
}
JUDGEMENTS: dict[Judgement, str] = {
    "confirmed": "confirmed",
    "tied": "too close to call",
    "refuted": "refuted",
}


def instances(split: Split) -> str:
    """``8 instances of 2 threads, batch 4``, piece by piece."""
    return " + ".join(
        f"{_shape(piece.instances, piece.threads)}, batch {piece.batch}" for piece in split.pieces
    )


def briefly(split: Split) -> str:
    """``8 × 2 threads, batch 4``, piece by piece."""
    return " + ".join(
        f"{piece.instances} × {on_threads(piece.threads)}, batch {piece.batch}"
        for piece in split.pieces
    )


def seconds(estimate: Interval) -> str:
    """A latency with its interval: ``208 ms (205 ms to 211 ms)``."""
    text = format_duration(estimate.value)
    if format_duration(estimate.low) == format_duration(estimate.high):
        return text
    return f"{text} ({format_duration(estimate.low)} to {format_duration(estimate.high)})"


def gain(choice: Choice, rival: Rival) -> str:
    """The predicted speedup of the fastest: ``2.05x (1.98x to 2.13x)``, ``is fat`` or ``-``."""
    option, found = choice.plan.rival(rival), choice.speedup(rival)
    if option is None or found is None:
        return "-"
    guess = ", interpolated" if "interpolated" in option.doubts else ""
    return (f"is {rival}" if choice.plan.is_rival(rival) else ratio(found)) + guess


def ratio(speedup: Speedup) -> str:
    """A speedup with its interval: ``too close to call, 1.02x (0.98x to 1.06x)``."""
    words = {"equivalent": "about the same, ", "unclear": "too close to call, "}
    return words.get(speedup.relation, "") + spanned(speedup)


def spanned(speedup: Speedup) -> str:
    """A speedup with its interval alone: ``1.02x (0.98x to 1.06x)``."""
    text = times_exact(speedup.ratio)
    if times_exact(speedup.low) == times_exact(speedup.high):
        return text
    return f"{text} ({times_exact(speedup.low)} to {times_exact(speedup.high)})"


def verdict(choice: Choice) -> str:
    """``no``, ``confirmed``, ``too close to call``, ``refuted: fat was faster``."""
    if choice.outcome is None:
        return "no"
    beaten = choice.beaten_by
    if not beaten:
        return JUDGEMENTS[choice.outcome.verdict]
    return f"refuted: {listed(beaten)} {'was' if len(beaten) == 1 else 'were'} faster"


def judgement(speedup: Speedup) -> Judgement:
    """What one speedup of a verification shows, by itself."""
    if speedup.tie:
        return "tied"
    return "confirmed" if speedup.relation == "faster" else "refuted"


def error(measured: Measured) -> str:
    """Predicted over measured, minus one: ``+2.1 %``; empty if nothing was predicted."""
    return "" if measured.error is None else f"{measured.error * 100:+.1f} %"


def about_profiles(choices: Sequence[Choice], view: RunView) -> str:
    """Where the predictions come from, and how far to trust them."""
    plans = [choice.plan for choice in choices]
    text = SETTINGS[plans[0].setting]
    parts = [
        f"{text[0].upper()}{text[1:]}.",
        "Fat is one instance on all cores, thin is instances of one thread, both with the "
        "optimization of the split. A split is recommended if it is shown to be faster than "
        "fat; otherwise fat is.",
        "A measurement is expected to lie within its interval 95 times out of 100.",
    ]
    if any(plan.fat and "interpolated" in plan.fat.doubts for plan in plans):
        parts.append("Where fat was not measured, it is interpolated between two batches.")
    seen = {d for plan in plans for d in (*plan.recommended.doubts, *plan.fastest.doubts)}
    doubts = [text for doubt, text in DOUBTS.items() if doubt in seen]
    doubts += [_scaled(choices)] if "scaled" in seen else []
    parts += [f"Doubts: {'; '.join(doubts)}."] if doubts else []
    parts += [_close(choices)] if any(choice.close for choice in choices) else []
    if not states_losses(view.run):
        parts.append(
            "The run does not state which optimizations are lossy, so all of them compete."
        )
    elif all(plan.variant.optimization in view.lossy for plan in plans):
        parts.append("All optimizations of the run are lossy, so they may change results.")
    if unchecked_of(view.run).keys() & {plan.variant.optimization for plan in plans}:
        unchecked = unchecked_text(view.run)
        parts.append(f"{unchecked[0].upper()}{unchecked[1:]}.")
    return " ".join(parts)


def drawing_finding(choices: Sequence[Choice]) -> str:
    """What to run from which batch on, and at which batches cores stay idle."""
    shapes = [_shapes(choice.plan.recommended.split) for choice in choices]
    cores, total = choices[0].plan.cores, len(choices)
    same = total - next(
        (place for place, shape in enumerate(reversed(shapes)) if shape != shapes[-1]), total
    )
    if same == 0:
        text = f"On {cores} cores, run {shapes[-1]} at every batch"
    else:
        text = (
            f"On {cores} cores, run {shapes[0]} at batch {choices[0].plan.batch}, and "
            f"{shapes[-1]} {_from(choices[same].plan.batch, choices[-1].plan.batch)}"
        )
    idle = [choice.plan for choice in choices if choice.plan.recommended.split.cores < cores]
    if idle:
        most = min(idle, key=lambda plan: plan.recommended.split.cores)
        left = cores - most.recommended.split.cores
        text += f"; cores stay idle at {_batches(len(idle), total)} ({left} at batch {most.batch})"
    mixed = sum(len(choice.plan.recommended.split.pieces) > 1 for choice in choices)
    text += f"; instances differ in size at {_batches(mixed, total)}" if mixed else ""
    return f"{text}."


def speedup_finding(choices: Sequence[Choice]) -> str:
    """The largest significant gains over fat and thin, and the results of verifications."""
    cores = choices[0].plan.cores
    parts = []
    for rival in RIVALS:
        top = leading(choices, rival)
        found = top.shown(rival) if top else None
        if top and found:
            how = "measured" if found is top.proven(rival) else "predicted"
            how += ", estimated" if top.guessed(rival) else ""
            parts.append(
                f"up to {times_exact(found.ratio)} as fast as {named_rival(rival, cores)} "
                f"(batch {top.plan.batch}, {how})"
            )
    if parts:
        text = f"The fastest split is {listed(parts)}"
    else:
        text = "No split is shown to be faster than fat or thin"
    ties = [one.plan.batch for one in choices if _undecided(one)]
    text += f"; at {_named_batches(ties)} split and fat are too close to call" if ties else ""
    fat = [one.plan.batch for one in choices if one.plan.verdict == "fat is fastest"]
    text += f"; at {_named_batches(fat)} fat is the fastest" if fat else ""
    return f"{text}.{_verified(choices)}"


def prediction_finding(proofs: Sequence[Proof]) -> str:
    """How many medians lie in their predicted interval, and how far predictions were off."""
    found = [
        (abs(each.error), each, proof.verification.batch)
        for proof, each in measured_of(proofs)
        if each.error is not None
    ]
    errors = [error for error, *_ in found]
    _, worst, batch = max(found, key=lambda one: one[0])
    count = len(found)
    inside = sum(each.inside for _, each, _ in found)
    text = (
        f"{inside} of {count} measured medians lie inside their predicted interval; the median "
        f"prediction error is {statistics.median(errors):.1%}, the largest {max(errors):.1%} "
        f"({worst.trial.name} at batch {batch}, predicted {_side(worst)} than measured)"
    )
    return f"{text.replace('%', ' %')}."


def measured_of(proofs: Sequence[Proof]) -> Iterator[tuple[Proof, Measured]]:
    """Every configuration that was run, with the verification it belongs to."""
    for proof in proofs:
        for each in proof.outcome.measured.values():
            yield proof, each


def named_rival(rival: Rival, cores: int) -> str:
    """``one instance on all 16 cores`` or ``instances of one thread``."""
    if rival == "thin":
        return "instances of one thread"
    return "one instance on both cores" if cores == 2 else f"one instance on all {cores} cores"


def _undecided(choice: Choice) -> bool:
    return choice.plan.verdict == "too close to call" and choice.plan.fat is not None


def _close(choices: Sequence[Choice]) -> str:
    """Which other optimizations are not shown to be slower than the recommended one."""
    batches: dict[str, list[int]] = {}
    for choice in choices:
        for other in dict.fromkeys(plan.variant.optimization for plan in choice.close):
            batches.setdefault(other, []).append(choice.plan.batch)
    named = [f"{name} at {_named_batches(found)}" for name, found in batches.items()]
    return f"Not shown to be slower than the recommended optimization: {'; '.join(named)}."


def _verified(choices: Sequence[Choice]) -> str:
    """How many splits were verified, and with which verdicts."""
    done = [choice for choice in choices if choice.outcome]
    counts = Counter(choice.outcome.verdict for choice in done if choice.outcome)
    if not counts:
        return " None of these splits has been verified."
    verdicts = listed([f"{counts[one]} {JUDGEMENTS[one]}" for one in JUDGEMENTS if counts[one]])
    text = f" Verified by running: {verdicts}"
    worse = [f"{listed(c.beaten_by)} at batch {c.plan.batch}" for c in done if c.beaten_by]
    text += f" (faster: {listed(worse)})" if worse else ""
    return f"{text}."


def _scaled(choices: Sequence[Choice]) -> str:
    """By how much cells measured alone were slowed, and the evidence for that."""
    found = [choice.profile.interference for choice in choices if choice.profile.interference]
    most = max(math.exp(each.slope) for each in found)
    pairs = max(each.pairs for each in found)
    cells = "1 cell" if pairs == 1 else f"{pairs} cells"
    return (
        f"scaled: measured alone, then slowed by up to {times_exact(most)} for the cores that "
        f"others keep busy, based on {cells} measured both ways"
    )


def _shape(count: int, threads: int) -> str:
    return f"{count} {'instance' if count == 1 else 'instances'} of {on_threads(threads)}"


def _shapes(split: Split) -> str:
    return " + ".join(_shape(piece.instances, piece.threads) for piece in split.pieces)


def _from(first: int, last: int) -> str:
    return f"at batch {first}" if first == last else f"from batch {first} on"


def _batches(count: int, total: int) -> str:
    return f"{count} of {total} {'batch' if total == 1 else 'batches'}"


def _named_batches(batches: Sequence[int]) -> str:
    if len(batches) == 1:
        return f"batch {batches[0]}"
    return f"batches {listed([str(batch) for batch in batches])}"


def _side(measured: Measured) -> str:
    return "slower" if measured.error is not None and measured.error > 0 else "faster"
