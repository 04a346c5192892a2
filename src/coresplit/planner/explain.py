"""Where the speedup of a split over one fat instance comes from, in one sentence; pure."""

from coresplit.planner.plan import Option, Plan
from coresplit.planner.profile import Profile
from coresplit.units import format_duration, format_share


def explain(plan: Plan, profile: Profile) -> str:
    """One sentence that compares the core time of one input in the split and in the fat instance.

    Core time is cores times latency over inputs. Where the profile knows the fat batch on the
    threads of the split, the ratio is parted into fewer threads and smaller batches.
    """
    speedup = plan.speedup("fat")
    if plan.fat is None or speedup is None:
        return f"The run has no cell of {plan.cores} threads and batch {plan.batch} to compare with"
    if plan.best.split == plan.fat.split:
        return f"One instance on all {plan.cores} cores is the fastest: splitting gains nothing"
    if speedup.tie:
        return (
            f"The split is predicted {speedup.ratio:.2f} times as fast as one instance on all "
            f"{plan.cores} cores, which is within what the run can tell apart"
        )
    if speedup.ratio < 1:
        return (
            f"One instance on all {plan.cores} cores is predicted {1 / speedup.ratio:.2f} times as "
            f"fast as the split, whose batches were measured while {plan.batch} itself was not"
        )
    here, there = _core_time(plan.best), _core_time(plan.fat)
    sentence = (
        f"An input costs {format_duration(here)} of core time in the split and "
        f"{format_duration(there)} in one instance on all {plan.cores} cores"
    )
    return sentence + _parts(plan, profile)


def _core_time(option: Option) -> float:
    return option.split.cores * option.predicted.latency / option.split.batch


def _parts(plan: Plan, profile: Profile) -> str:
    """How much fewer threads and smaller batches each give, where all instances are alike."""
    if len(plan.best.split.pieces) != 1 or plan.fat is None:
        return ""
    piece = plan.best.split.pieces[0]
    place = piece.threads, plan.batch
    if place not in profile.cells or piece.batch == plan.batch:
        return ""
    between = profile.among(place, plan.best.split.cores)
    alone = piece.threads * between.latency / plan.batch
    threads = _core_time(plan.fat) / alone
    batches = alone / (piece.threads * plan.best.predicted.latency / piece.batch)
    noun = "thread" if piece.threads == 1 else "threads"
    return (
        f": {piece.threads} {noun} an instance instead of {plan.cores} "
        f"{_change(threads)}, batch {piece.batch} instead of {plan.batch} {_change(batches)}"
    )


def _change(ratio: float) -> str:
    if ratio >= 1:
        return f"saves {format_share(1 - 1 / ratio)}"
    return f"costs {format_share(1 / ratio - 1)} more"
