"""Finding the split of cores and a batch over instances; pure.

profile        latency[t, b] of a run, and how far each value is known
interference   how much slower an instance is when the other cores are busy
solver         the exact split of the lowest latency
plan           the split, its rivals fat and thin, and what each is predicted to take
explain        where the speedup comes from, in one sentence
outcome        what the rounds of a verification show
"""

from coresplit.planner.explain import explain
from coresplit.planner.outcome import Measured, Outcome, outcome_of, proof_of, verifications_of
from coresplit.planner.plan import (
    Option,
    Plan,
    Speedup,
    best_plan,
    fastest_within,
    on_fewer_cores,
    plan,
)
from coresplit.planner.profile import Known, Profile, copies_on, cores_of, interpolated, profiles_of
from coresplit.planner.solver import largest_batch, nearest_batches

__all__ = [
    "Known",
    "Measured",
    "Option",
    "Outcome",
    "Plan",
    "Profile",
    "Speedup",
    "best_plan",
    "copies_on",
    "cores_of",
    "explain",
    "fastest_within",
    "interpolated",
    "largest_batch",
    "nearest_batches",
    "on_fewer_cores",
    "outcome_of",
    "plan",
    "profiles_of",
    "proof_of",
    "verifications_of",
]
