"""Simulate a load on instances that a run has measured, without a server."""

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec

import coresplit
from coresplit.errors import UsageError
from coresplit.loading.asked import Load
from coresplit.loading.search import search
from coresplit.planner import best_capacity
from coresplit.records import Run
from coresplit.records.load import LoadSearch, LoadTrial
from coresplit.serving.adapting.simulation import Replay
from coresplit.workflows.candidates import Serving
from coresplit.workflows.loading.request import check_sending, load_of, trial_load
from coresplit.workflows.simulating.comparing import gains, ranking
from coresplit.workflows.simulating.found import Held, Kind, Replayed, SimulateResult
from coresplit.workflows.simulating.request import Servings, SimulateRequest, servings_for
from coresplit.workflows.simulating.rounds import Arriving, Figures, Players

ADAPTING, PACKRAT = "adapting", "Packrat's rule"
_KINDS: dict[str, Kind] = {ADAPTING: "adapting", PACKRAT: "packrat"}


def simulate_load(
    run: Run, request: SimulateRequest, on_progress: Callable[[str], None]
) -> SimulateResult:
    """Replay the load, or search for the highest rate that holds the latency.

    Raises UsageError for an invalid request, TableError for an invalid trace, RunError for a run
    without latencies of single inputs.
    """
    check_sending(request.sending)
    load = load_of(request.sending)
    servings = servings_for(run, request)
    work = _Work(run, request, load, servings, on_progress)
    return work.search() if request.sending.kind == "search" else work.replay()


class _Work:
    def __init__(
        self,
        run: Run,
        request: SimulateRequest,
        load: Load,
        servings: Servings,
        on_progress: Callable[[str], None],
    ) -> None:
        self._request = request
        self._servings = servings
        self._on_progress = on_progress
        self._begun = time.perf_counter()
        self._simulated_s = 0.0
        self._arriving = Arriving(load, request.sending.rows)
        self._present = _first(servings.found, told=bool(request.splits))
        self._players = Players(run, servings, self._present, request)
        self._result = SimulateResult(
            version=coresplit.__version__,
            run=run.name,
            cores=servings.cores,
            setting=self._present.profile.setting,
            asked=load.asked,
            rounds=request.sending.rounds,
            simulated_s=0.0,
            took_s=0.0,
        )

    def replay(self) -> SimulateResult:
        """Replay the load in rounds, each with the same arrivals for all instances."""
        fixed, changing = self._played()
        best, second, close = ranking(fixed)
        against = {name: gains(name, own, best, fixed[best]) for name, own in changing.items()}
        return self._with(
            rows=tuple(self._row(name, own) for name, own in (fixed | changing).items()),
            best=best,
            close=close,
            ranked=second and gains(best, fixed[best], second, fixed[second]),
            adapted=against.get(ADAPTING),
            packrat=against.get(PACKRAT),
        )

    def search(self) -> SimulateResult:
        """Search for the highest rate of each set of instances."""
        held = tuple(
            Held(name=each.name, search=self._searched(each)) for each in self._servings.found
        )
        return self._with(held=held)

    def _with(self, **fields: object) -> SimulateResult:
        return msgspec.structs.replace(
            self._result,
            simulated_s=self._simulated_s,
            took_s=time.perf_counter() - self._begun,
            **fields,
        )

    def _played(self) -> tuple[dict[str, list[Figures]], dict[str, list[Figures]]]:
        sending, players = self._request.sending, self._players
        names = [each.name for each in self._servings.found]
        fixed: dict[str, list[Figures]] = {name: [] for name in names}
        changing: dict[str, list[Figures]] = {}
        for number in range(sending.rounds):
            self._on_progress(f"round {number + 1} of {sending.rounds}")
            seed = sending.seed + number
            for name in names:
                replay = players.fixed(name, self._arriving.source(number), seed)
                fixed[name].append(self._figures(self._arriving, replay))
            if len(names) > 1:
                replay = players.adapting(self._arriving.source(number), seed)
                changing.setdefault(ADAPTING, []).append(self._figures(self._arriving, replay))
            if players.has_packrat:
                replay = players.packrat(self._arriving.source(number), seed)
                changing.setdefault(PACKRAT, []).append(self._figures(self._arriving, replay))
        if not all(each.requests for each in fixed[names[0]]):
            raise UsageError(
                "no request came in one of the rounds: load for longer",
                "give {option}",
                "duration=10m",
            )
        return fixed, changing

    def _figures(self, arriving: Arriving, replay: Replay) -> Figures:
        found = arriving.figures(replay)
        self._simulated_s += found.seconds
        return found

    def _row(self, name: str, found: Sequence[Figures]) -> Replayed:
        tails = [each.p99 for each in found if each.p99 is not None]
        return Replayed(
            name=name,
            kind=_KINDS.get(name, "fixed"),
            requests=statistics.median(each.requests for each in found),
            refused=statistics.median(each.refused for each in found),
            mean=statistics.median(each.mean for each in found),
            p50=statistics.median(each.p50 for each in found),
            p99=statistics.median(tails) if len(tails) == len(found) else None,
            throughput=statistics.median(each.throughput for each in found),
            switches=statistics.median(each.switches for each in found),
            behind=self._arriving.falls_behind(found, self._at_once),
        )

    @property
    def _at_once(self) -> int:
        return max(
            len(each.candidate.threads) * each.candidate.most_rows for each in self._servings.found
        )

    def _searched(self, serving: Serving) -> LoadSearch:
        sending = self._request.sending
        slo, percentile = sending.slo, sending.percentile
        assert slo is not None
        trials = 0

        def measure(rate: float) -> LoadTrial:
            nonlocal trials
            self._on_progress(f"{serving.name}, trial {trials + 1}")
            load = trial_load(sending, rate, trials)
            arriving = Arriving(load, sending.rows)
            replay = self._players.fixed(serving.name, arriving.source(0), load.seed)
            found = self._figures(arriving, replay)
            took = [
                each
                for at, each in zip(replay.arrivals, replay.latencies, strict=True)
                if at >= load.warmup
            ]
            late, count = found.refused + sum(each > slo for each in took), len(took)
            trials += 1
            return LoadTrial(
                rate=rate,
                held=count > 0 and late <= (1 - percentile / 100) * count + 1e-9,
                late=min(late, count),
                count=count,
                throughput=found.throughput,
                ended_early=False,
                limit="",
            )

        return search(
            measure,
            sending.rate or 1 / serving.capacity.first_s,
            slo=slo,
            percentile=percentile,
            precision=sending.precision,
        )


def _first(servings: Sequence[Serving], *, told: bool) -> Serving:
    """Return what serves first: the first one named, or what a server would choose."""
    best = None if told else best_capacity(each.capacity for each in servings)
    return next((each for each in servings if each.capacity is best), servings[0])
