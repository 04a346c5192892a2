"""Find the best split of cores and a batch over instances; pure.

profile        latency[t, b] of a run, and the uncertainty of each value
interference   how much slower an instance is when the other cores are busy
spread         how far a later measurement may be from its prediction
solver         the exact split with the lowest latency
option         a split with its predicted latency, and the comparison of two
plan           the fastest split, its rivals fat and thin, and which of them to run
explain        where the speedup comes from, in one sentence
verification   what the rounds of a verification show
serving        which instances to serve single requests with
select         which profiles compete, and which plan is chosen
"""

from coresplit.planner.explain import explain, superlinear
from coresplit.planner.interference import copies_on
from coresplit.planner.option import Option, Speedup, compared
from coresplit.planner.plan import (
    RIVALS,
    Best,
    Plan,
    Rival,
    best_plan,
    fastest_within,
    front_of,
    on_fewer_cores,
    plan,
)
from coresplit.planner.profile import Profile, ProfilePoint, cores_of, interpolated, profiles_of
from coresplit.planner.select import lossless, select
from coresplit.planner.serving import Capacity, best_capacity, capacities_of, gains
from coresplit.planner.solver import largest_batch, nearest_batches
from coresplit.planner.verification import (
    Judgement,
    Measured,
    Outcome,
    halfwidth_of,
    outcome_of,
    proof_of,
    settled,
    verifications_of,
)

__all__ = [
    "RIVALS",
    "Best",
    "Capacity",
    "Judgement",
    "Measured",
    "Option",
    "Outcome",
    "Plan",
    "Profile",
    "ProfilePoint",
    "Rival",
    "Speedup",
    "best_capacity",
    "best_plan",
    "capacities_of",
    "compared",
    "copies_on",
    "cores_of",
    "explain",
    "fastest_within",
    "front_of",
    "gains",
    "halfwidth_of",
    "interpolated",
    "largest_batch",
    "lossless",
    "nearest_batches",
    "on_fewer_cores",
    "outcome_of",
    "plan",
    "profiles_of",
    "proof_of",
    "select",
    "settled",
    "superlinear",
    "verifications_of",
]
