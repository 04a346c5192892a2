"""The rounds of a verification."""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Literal

from coresplit.errors import EnvironmentFault, LateStart
from coresplit.format import format_size
from coresplit.instance import Ensemble, Host, Interrupt, Member, Ready, disturbed_entry
from coresplit.planner import Option, Plan, halfwidth_of
from coresplit.records import Configuration, Disturbed, Trial, Verification
from coresplit.stats.contention import Disturbance, disturbance

SECOND_SHARE = 1 / 50
FEWEST_ROUNDS, MOST_ROUNDS = 10, 60
PRECISION = 0.01
FIRST_S, PATIENCE, SLACK_S = 300.0, 5.0, 30.0
MEMORY_SHARE = 0.9
MOST_SPOILED = 3
QUIET_S = 0.1
"""Between configurations: threads that computed go on spinning, ONNX Runtime's for up to 50 ms."""

Key = tuple[tuple[int, ...], int]
"""Logical CPUs and batch: what tells the instances of a verification apart."""
Latencies = dict[Configuration, float]
Spoiled = Literal["throttled", "late", "disturbed"]
"""Why a round is not kept."""

FAULTS: dict[Spoiled, str] = {
    "throttled": ("the CPU quota throttled the instances; plan for fewer cores or raise the quota"),
    "late": (
        "the instances could not be started together because their cores were busy; "
        "stop other programs (doctor names them)"
    ),
    "disturbed": "more rounds were disturbed than not; stop other programs (doctor names them)",
}


class Verifier:
    """Runs the configurations of a plan in turn, in rounds whose order a seed shuffles.

    ``host`` is where its instances run. Every complete round is given to ``log`` at once, and so is
    what disturbed one, which is then repeated, unless ``keep_disturbed`` says that the cores are
    meant to be shared. ``accept`` raises where the first instance that is ready is not of the model
    that was planned for. ``budget_s`` bounds the rounds, not the preparing, but ``rounds`` of them
    are run whatever it says. ``peak_memory`` gives the bytes that an instance of so many threads
    and batch was seen to take, 0 where that is not known.
    """

    def __init__(
        self,
        plan: Plan,
        host: Host,
        log: Callable[[Verification | Disturbed], None],
        *,
        accept: Callable[[Ready], None],
        peak_memory: Callable[[int, int], int] = lambda threads, batch: 0,
        budget_s: float,
        rounds: int | None = None,
        seed: int = 0,
        interrupt: Interrupt | None = None,
        on_progress: Callable[[str], None] = lambda doing: None,
        keep_disturbed: bool = False,
    ) -> None:
        self._plan = plan
        self._options = dict(plan.configurations)
        self._host = host
        self._log = log
        self._accept = accept
        self._peak = peak_memory
        self._budget_s = budget_s
        self._fewest = rounds or 1
        self._random = random.Random(seed)
        self._interrupt = interrupt
        self._report = on_progress
        self._keep_disturbed = keep_disturbed
        self._members: dict[Key, Member] = {}
        self._found: Disturbance | None = None
        self._at = time.time()

    def run(self) -> None:
        """All rounds, as many as fit in the budget but at least one, or the fewest asked.

        Raises InstanceError where an instance fails, and EnvironmentFault where memory cannot
        hold them all, the CPU quota throttles them, or they cannot be started together. An
        interrupt ends it after a round.
        """
        wanted = {name: self._keys(option) for name, option in self._options.items()}
        try:
            self._require_memory(list(wanted.values()))
            ensembles = {name: self._prepared(name, keys) for name, keys in wanted.items()}
            for name, ensemble in ensembles.items():
                self._warm_up(name, ensemble)
            self._rounds(ensembles)
        finally:
            for member in self._members.values():
                member.close()

    @property
    def _interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.requested

    def _keys(self, option: Option) -> list[Key]:
        cells = option.split.cells
        places = self._host.place([threads for threads, _ in cells], self._plan.variant.mapping)
        return [(cpus, batch) for cpus, (_, batch) in zip(places, cells, strict=True)]

    def _require_memory(self, configurations: Collection[Collection[Key]]) -> None:
        """Start one instance, and refuse to start the others where memory cannot hold them.

        All stay prepared, while those of one configuration compute at a time.
        """
        keys = {key for each in configurations for key in each}
        first = min(keys)
        self._report("preparing the first instance")
        self._members[first] = self._host.start_on(self._plan.variant, first[0])
        ready = self._members[first].wait_ready(self._interrupt)
        self._accept(ready)
        each, free = ready.memory, self._host.available_memory()
        computing = max(
            sum(max(0, self._peak(len(cpus), batch) - each) for cpus, batch in members)
            for members in configurations
        )
        if each * (len(keys) - 1) + computing > MEMORY_SHARE * free:
            forwards = f" and {format_size(computing)} for their forwards" if computing else ""
            raise EnvironmentFault(
                f"verifying needs {len(keys)} instances of {format_size(each)} at once{forwards}, "
                f"but only {format_size(free)} of memory are free; plan for fewer cores"
            )

    def _prepared(self, name: Configuration, keys: Sequence[Key]) -> Ensemble:
        """The instances of one configuration, ready; those on the same cores and batch are shared.

        An instance keeps its batch, so that no round begins with making inputs.
        """
        self._report(f"preparing {name} {self._options[name].split}")
        for key in keys:
            if key not in self._members:
                self._members[key] = self._host.start_on(self._plan.variant, key[0])
        ensemble = Ensemble([(self._members[key], key[1]) for key in keys], self._host.clock)
        ensemble.wait_ready(self._interrupt)
        return ensemble

    def _warm_up(self, name: Configuration, ensemble: Ensemble) -> None:
        """A round that is not kept, and a second one where that comes cheap."""
        self._report(f"warming up {name}")
        predicted = self._options[name].predicted
        rounds = 2 if predicted.value < self._budget_s * SECOND_SHARE else 1
        for _ in range(rounds):
            if self._interrupted:
                return
            # nothing of it is kept, so it does not matter whether all began together
            with suppress(LateStart):
                ensemble.round(FIRST_S + PATIENCE * predicted.high, self._interrupt, QUIET_S)

    def _rounds(self, ensembles: Mapping[Configuration, Ensemble]) -> None:
        begin = self._host.clock()
        spoiled: Counter[Spoiled] = Counter()
        rounds: list[Latencies] = []
        while not rounds or not self._enough(rounds, self._host.clock() - begin):
            self._report(f"round {len(rounds) + 1}")
            found = self._round(ensembles)
            if isinstance(found, dict):
                rounds.append(found)
                self._log(self._verification(found))
            if self._interrupted:
                break
            if isinstance(found, str):
                spoiled[found] += 1
                # what comes from outside comes and goes, so that it may spoil as many as were kept
                most = MOST_SPOILED + (len(rounds) if found == "disturbed" else 0)
                if spoiled[found] > most:
                    raise EnvironmentFault(self._fault(found))

    def _fault(self, spoiled: Spoiled) -> str:
        found = self._found if spoiled == "disturbed" else None
        return f"{found.reason}: {FAULTS[spoiled]}" if found else FAULTS[spoiled]

    def _enough(self, rounds: Sequence[Latencies], elapsed_s: float) -> bool:
        """By the width of the intervals, never by what they say: that would bias the verdict."""
        if len(rounds) < self._fewest:
            return False
        if elapsed_s * (len(rounds) + 1) / len(rounds) > self._budget_s:
            return True
        if len(rounds) < FEWEST_ROUNDS:
            return False
        rivals = [name for name in self._options if name != "split"]
        widths = [halfwidth_of([each[name] / each["split"] for each in rounds]) for name in rivals]
        narrow = math.log1p(PRECISION)
        return len(rounds) >= MOST_ROUNDS or all(width <= narrow for width in widths)

    def _round(self, ensembles: Mapping[Configuration, Ensemble]) -> Latencies | Spoiled | None:
        """The latency of every configuration, or what spoiled it; None where one was not run."""
        order = list(ensembles)
        self._random.shuffle(order)
        latencies: Latencies = {}
        throttled = False
        disturbing: list[Disturbance] = []
        for name in order:
            if self._interrupted:
                return None
            timeout = PATIENCE * self._options[name].predicted.high + SLACK_S
            try:
                timed = ensembles[name].round(timeout, self._interrupt, QUIET_S)
            except LateStart:
                return "late"
            throttled = throttled or timed.evidence.throttled_periods > 0
            latencies[name] = timed.durations[0]
            found = disturbance(timed.signs)
            disturbing += [] if found is None else [found]
        if throttled:
            return "throttled"
        if disturbing:
            self._found = max(disturbing, key=lambda found: found.share)
            self._log(disturbed_entry(None, self._found, self._host))
            if not self._keep_disturbed:
                return "disturbed"
        return latencies

    def _verification(self, latencies: Latencies) -> Verification:
        plan = self._plan
        return Verification(
            at=self._at,
            optimization=plan.variant.optimization,
            mapping=plan.variant.mapping,
            allocator=plan.variant.allocator,
            setting=plan.setting,
            cores=plan.cores,
            batch=plan.batch,
            trials=tuple(
                _trial(name, option, latencies[name]) for name, option in self._options.items()
            ),
        )


def _trial(name: Configuration, option: Option, latency: float) -> Trial:
    return Trial(name=name, split=option.split, predicted=option.predicted, samples=(latency,))
