"""Where the speedup of a split over one fat instance comes from, in one sentence; pure."""

from coresplit.format import format_duration, format_share
from coresplit.planner.option import Option
from coresplit.planner.plan import Plan, Rival
from coresplit.planner.profile import Profile

NOTHING = 0.002
"""A smaller change of the core time is not mentioned."""


def explain(plan: Plan, profile: Profile) -> str:
    """Compare the fastest with one fat instance in one sentence; names only significant gains.

    Core time is cores times latency over inputs. If the profile has the fat batch on the threads
    of the split, the ratio is broken down into fewer threads and smaller batches.
    """
    one = f"one instance on {'both' if plan.cores == 2 else f'all {plan.cores}'} cores"
    if plan.fat is None:
        return f"The run has no cell of {plan.cores} threads and batch {plan.batch} to compare with"
    if plan.is_rival("fat"):
        return f"No split is predicted to be faster than {one}"
    if plan.standing("fat") == "faster":
        return _gain(plan, plan.fat, profile, one)
    return _no_gain(plan, one)


def _no_gain(plan: Plan, one: str) -> str:
    speedup, standing = plan.speedup("fat"), plan.standing("fat")
    if standing == "slower":
        return f"When both were run, {one} was faster than the split"
    if standing == "equivalent":
        return f"Splitting makes no practical difference: {one} takes as long"
    if speedup is None:
        return ""
    return (
        f"Too close to call: the split is predicted to run at {speedup.low:.2f} to "
        f"{speedup.high:.2f} times the speed of {one}"
    )


def _gain(plan: Plan, fat: Option, profile: Profile, one: str) -> str:
    if superlinear(plan, "fat"):
        return (
            f"The split is predicted to gain more over {one} than {plan.cores} cores can give: one "
            "of the two latencies is probably wrong"
        )
    here, there = _core_time(plan.fastest), _core_time(fat)
    if here >= there:
        return f"When both were run, the split was faster than {one}"
    sentence = (
        f"An input costs {format_duration(here)} of core time in the split and "
        f"{format_duration(there)} in {one}"
    )
    return sentence + _parts(plan, profile)


def superlinear(plan: Plan, rival: Rival) -> bool:
    """True if the predicted gain of the fastest is larger than its cores can give."""
    speedup = plan.speedup(rival)
    return speedup is not None and speedup.ratio > plan.cores


def _core_time(option: Option) -> float:
    return option.split.cores * option.predicted.value / option.split.batch


def _parts(plan: Plan, profile: Profile) -> str:
    """What fewer threads and smaller batches each contribute, if all instances are alike."""
    if len(plan.fastest.split.pieces) != 1 or plan.fat is None:
        return ""
    piece = plan.fastest.split.pieces[0]
    place = piece.threads, plan.batch
    if place not in profile.cells or piece.batch == plan.batch:
        return ""
    between = profile.latency_at(place, plan.fastest.split.cores)
    alone = piece.threads * between.latency / plan.batch
    threads = _core_time(plan.fat) / alone
    batches = alone / (piece.threads * plan.fastest.predicted.value / piece.batch)
    noun = "thread" if piece.threads == 1 else "threads"
    return (
        f": {piece.threads} {noun} an instance instead of {plan.cores} "
        f"{_change(threads)}, batch {piece.batch} instead of {plan.batch} {_change(batches)}"
    )


def _change(ratio: float) -> str:
    if abs(ratio - 1) < NOTHING:
        return "changes nothing"
    if ratio >= 1:
        return f"saves {format_share(1 - 1 / ratio)}"
    return f"costs {format_share(1 / ratio - 1)} more"
