"""What a page says of splits: names, cells of the table, sentences; pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from coresplit.planner import Measured, Speedup
from coresplit.planner.outcome import Judgement
from coresplit.records import Estimate, Split
from coresplit.report.frame import Frame
from coresplit.report.splits import RIVALS, Choice, Proof, Rival, leading
from coresplit.report.wording import listed, on_threads, times_exact
from coresplit.stats.losses import states_losses
from coresplit.units import format_duration

SETTINGS = {
    "isolated": (
        "latencies are predicted from cells measured alone: instances that run together may be "
        "slower than this"
    ),
    "packed": "latencies are predicted from cells measured with all cores busy",
}
DOUBTS = {
    "light": "light: from 1 to 5 samples",
    "unstable": "unstable: from samples that never settled",
    "estimated": "estimated: from cells that were not measured",
    "interpolated": "interpolated: between two measured batches",
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


def seconds(estimate: Estimate) -> str:
    """A latency with its interval: ``208 ms (205 ms to 211 ms)``."""
    text = format_duration(estimate.latency)
    if estimate.low == estimate.high:
        return text
    return f"{text} ({format_duration(estimate.low)} to {format_duration(estimate.high)})"


def gain(choice: Choice, rival: Rival) -> str:
    """The predicted speedup: ``2.05x (1.98x to 2.13x)``, ``tie, 1.02x``, ``is fat`` or ``-``."""
    option, found = choice.plan.rival(rival), choice.speedup(rival)
    if option is None or found is None:
        return "-"
    if choice.is_rival(rival):
        return f"is {rival}"
    return ratio(found) + (", interpolated" if "interpolated" in option.doubts else "")


def ratio(speedup: Speedup) -> str:
    """A speedup with its interval, a tie named as one: ``tie, 1.02x (0.98x to 1.06x)``."""
    text = ("tie, " if speedup.tie else "") + times_exact(speedup.ratio)
    if speedup.low == speedup.high:
        return text
    return f"{text} ({times_exact(speedup.low)} to {times_exact(speedup.high)})"


def verdict(choice: Choice) -> str:
    """``no``, ``confirmed``, ``tied``, ``refuted: fat was faster``."""
    if choice.outcome is None:
        return "no"
    beaten = choice.beaten_by
    if not beaten:
        return choice.outcome.verdict
    return f"refuted: {listed(beaten)} {'was' if len(beaten) == 1 else 'were'} faster"


def judgement(speedup: Speedup) -> Judgement:
    """What one speedup of a verification shows, by itself."""
    if speedup.tie:
        return "tied"
    return "confirmed" if speedup.ratio > 1 else "refuted"


def error(measured: Measured) -> str:
    """Predicted over measured, less one: ``+2.1 %``."""
    return f"{measured.error * 100:+.1f} %"


def about_profiles(choices: Sequence[Choice], frame: Frame) -> str:
    """Where the predictions come from, and how far they are to be trusted."""
    plans = [choice.plan for choice in choices]
    text = SETTINGS[plans[0].setting]
    parts = [
        f"{text[0].upper()}{text[1:]}.",
        "Fat is one instance on all cores, thin are instances of one thread, both with the "
        "optimization of the split.",
    ]
    if any(plan.fat and "interpolated" in plan.fat.doubts for plan in plans):
        parts.append("Where fat was not measured, it is interpolated between two batches.")
    seen = {doubt for plan in plans for doubt in plan.best.doubts}
    doubts = [text for doubt, text in DOUBTS.items() if doubt in seen]
    doubts += [_scaled(choices)] if "scaled" in seen else []
    parts += [f"Doubts: {'; '.join(doubts)}."] if doubts else []
    if any(len(plan.best.split.pieces) > 1 for plan in plans):
        parts.append(
            "Instances that differ are each predicted as if only copies of themselves ran beside "
            "them."
        )
    if not states_losses(frame.run):
        parts.append(
            "The run does not state which optimizations are lossy, so all of them compete."
        )
    elif all(plan.optimization in frame.lossy for plan in plans):
        parts.append("The run has lossy optimizations only, which may change results.")
    return " ".join(parts)


def drawing_finding(choices: Sequence[Choice]) -> str:
    """How many instances are best from which batch on, and which splits leave cores idle."""
    shapes = [_shapes(choice.plan.best.split) for choice in choices]
    cores, total = choices[0].plan.cores, len(choices)
    same = total - next(
        (place for place, shape in enumerate(reversed(shapes)) if shape != shapes[-1]), total
    )
    if same == 0:
        text = f"On {cores} cores the best split is {shapes[-1]} at every batch"
    else:
        text = (
            f"On {cores} cores the best split is {shapes[0]} at batch {choices[0].plan.batch}, and "
            f"{shapes[-1]} {_from(choices[same].plan.batch, choices[-1].plan.batch)}"
        )
    idle = [choice.plan for choice in choices if choice.plan.best.split.cores < cores]
    if idle:
        most = min(idle, key=lambda plan: plan.best.split.cores)
        left = cores - most.best.split.cores
        text += f"; cores stay idle at {_batches(len(idle), total)} ({left} at batch {most.batch})"
    mixed = sum(len(choice.plan.best.split.pieces) > 1 for choice in choices)
    text += f"; instances differ in size at {_batches(mixed, total)}" if mixed else ""
    return f"{text}."


def speedup_finding(choices: Sequence[Choice]) -> str:
    """The largest predicted gains over fat and thin, the ties, and what verifications showed."""
    cores = choices[0].plan.cores
    parts = []
    for rival in RIVALS:
        top = leading(choices, rival)
        found = top.speedup(rival) if top else None
        if top and found:
            guess = ", estimated" if top.guessed(rival) else ""
            parts.append(
                f"up to {times_exact(found.ratio)} as fast as {named_rival(rival, cores)} "
                f"(batch {top.plan.batch}{guess})"
            )
    if parts:
        text = f"The best split is predicted {listed(parts)}"
    else:
        text = "No split is predicted to be faster than fat or thin beyond what can be told apart"
    ties = [one.plan.batch for one in choices if (own := one.speedup("fat")) and own.tie]
    if parts and ties:
        text += f"; at {_named_batches(ties)} it is fat, or tied with fat"
    slower = [one.plan.batch for one in choices if _slower_than_fat(one)]
    if slower:
        text += f"; at {_named_batches(slower)} fat, not measured, is predicted faster"
    return f"{text}.{_verified(choices)}"


def prediction_finding(proofs: Sequence[Proof]) -> str:
    """Median and largest absolute error of the predictions, and where the largest is."""
    found = [(each, proof.verification.batch) for proof, each in measured_of(proofs)]
    errors = [abs(each.error) for each, _ in found]
    worst, batch = max(found, key=lambda pair: abs(pair[0].error))
    count = len(found)
    inside = sum(_within(each) for each, _ in found)
    text = (
        f"Predictions of {count} configurations that were run are off by "
        f"{statistics.median(errors):.1%} in the median and {max(errors):.1%} at most "
        f"({worst.trial.name} at batch {batch}, predicted {_side(worst)} than it ran); "
        f"{inside} of {count} measured intervals meet the predicted one"
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


def _slower_than_fat(choice: Choice) -> bool:
    found = choice.speedup("fat")
    return found is not None and not found.tie and found.ratio < 1


def _verified(choices: Sequence[Choice]) -> str:
    """How many splits were verified, with which verdicts, and the largest gain over fat."""
    done = [choice for choice in choices if choice.outcome]
    counts = Counter(choice.outcome.verdict for choice in done if choice.outcome)
    if not counts:
        return " None of these splits was verified by running it."
    verdicts = listed(
        [f"{counts[one]} {one}" for one in ("confirmed", "tied", "refuted") if counts[one]]
    )
    text = f" Of {len(done)} that {'was' if len(done) == 1 else 'were'} run, {verdicts}"
    worse = [f"{listed(c.beaten_by)} at batch {c.plan.batch}" for c in done if c.beaten_by]
    text += f" (faster was {listed(worse)})" if worse else ""
    actual = [(own.ratio, c.plan.batch) for c in done if (own := c.proven("fat")) and not own.tie]
    if actual and max(actual)[0] > 1:
        text += f"; the actual speedup over fat is up to {times_exact(max(actual)[0])}"
        text += f" (batch {max(actual)[1]})"
    return f"{text}."


def _scaled(choices: Sequence[Choice]) -> str:
    """By how much cells measured alone were made slower, and what that was learnt from."""
    found = [
        choice.profile.interference
        for choice in choices
        if "scaled" in choice.plan.best.doubts and choice.profile.interference
    ]
    most = max(math.exp(each.slope) for each in found)
    pairs = max(each.pairs for each in found)
    cells = "1 cell" if pairs == 1 else f"{pairs} cells"
    return (
        f"scaled: measured alone, and made slower by the share of cores that others keep busy, up "
        f"to {times_exact(most)}, as learnt from {cells} measured both ways"
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
    return "slower" if measured.error > 0 else "faster"


def _within(measured: Measured) -> bool:
    predicted, actual = measured.trial.predicted, measured.latency
    return predicted.low <= actual.high and actual.low <= predicted.high
