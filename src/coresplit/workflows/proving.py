"""The verification at the end of a quick run: its headline split is run against one instance."""

from collections.abc import Callable, Sequence
from pathlib import Path

from coresplit import store
from coresplit.analysis.splits import Choice, choices_of
from coresplit.analysis.view import RunView
from coresplit.instance import Interrupt
from coresplit.planner import Option, Plan
from coresplit.records import Prepared, Run
from coresplit.stats.sampling import judged
from coresplit.workflows.reserving import Cores
from coresplit.workflows.verifying import verify

ROUNDS = 3
WARMUP_ROUNDS = 2
REST_S = 0.1
SLACK = 1.25


def prove_headline(
    path: Path,
    *,
    weights: str | None,
    trust: bool,
    left_s: float,
    interrupt: Interrupt,
    cores: Cores,
    on_progress: Callable[[str], None],
) -> bool:
    """Verify the split that the page of the run will show first, within ``left_s`` seconds.

    Runs at least three rounds. Returns False if no split fits in the time. Raises as ``verify``
    does.
    """
    run = judged(store.load(path))
    left_s -= preparing_s(run)
    chosen = headline(choices_of(RunView(run)), left_s)
    if chosen is None:
        return False
    verify(
        path,
        chosen.plan,
        weights=weights,
        trust=trust,
        budget_s=max(1.0, left_s),
        rounds=ROUNDS,
        interrupt=interrupt,
        cores=cores,
        on_progress=on_progress,
    )
    return True


def headline(choices: Sequence[Choice], left_s: float) -> Choice | None:
    """Return the choice to verify: the largest predicted gain over fat that fits in the time.

    If fat is predicted to be fastest everywhere, the largest batch that fits: fat is then verified
    against thin. None if nothing fits.
    """
    fitting = [one for one in choices if len(_options(one.plan)) > 1 and cost_s(one.plan) <= left_s]
    splits = [one for one in fitting if not one.plan.is_rival("fat")]
    if splits:
        return max(splits, key=_gain)
    return max(fitting, key=lambda one: one.plan.batch, default=None)


def cost_s(plan: Plan) -> float:
    """Return the expected seconds of the shortest verification, with warm-up."""
    each = sum(option.predicted.value + REST_S for option in _options(plan))
    return SLACK * (ROUNDS + WARMUP_ROUNDS) * each


def preparing_s(run: Run) -> float:
    """Return the expected seconds until the instances are ready, judged by those of the sweep."""
    took = [each.start_s + each.prepare_s for each in run.journal if isinstance(each, Prepared)]
    return SLACK * max(took, default=0.0)


def _options(plan: Plan) -> list[Option]:
    return [option for _, option in plan.configurations]


def _gain(choice: Choice) -> float:
    found = choice.speedup("fat")
    return found.ratio if found else 0.0
