"""A comparison that was made up: rates and latencies by formula, no server."""

import random
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from compared import Comparison, LoadName, Plan, Server, Turn

from coresplit.loading.percentiles import latency_of

_SERVED = Path(__file__).parents[2] / "benchmarks" / "serving" / "peers" / "served.py"
_loader = SourceFileLoader("served", str(_SERVED))
_spec = spec_from_loader("served", _loader)
assert _spec is not None
served = module_from_spec(_spec)
"""What peers share; the ``triton`` in their folder would be taken for the real one on the path."""
_loader.exec_module(served)
OWN = "coresplit, default"
RATES = {OWN: 10.0, "twin": 10.0, "half": 5.0, "double": 20.0, "wild": 11.0}
"""Requests per second; a twin has the same as coresplit, and the wild one scatters."""
_SPREAD = {"wild": 0.6}
LOADS: tuple[LoadName, ...] = ("light", "medium", "saturating")


def a_turn(server: str, load: LoadName, rate: float, at: tuple[int, int], answered: int) -> Turn:
    latency, _, histogram = latency_of([each / rate / answered for each in range(1, answered + 1)])
    assert latency is not None
    return Turn(
        server=server,
        group=at[0],
        round=at[1],
        load=load,
        answered=answered,
        errors={},
        throughput=rate,
        p50=0.5 / rate,
        cpu=1 / rate,
        client_cpu=1e-3,
        resident=300 << 20,
        memory=200 << 20,
        histogram=histogram,
    )


GROUPS = (OWN, "twin", "half"), (OWN, "double", "wild")


def a_comparison(
    rounds: int = 8,
    answered: int = 50,
    title: str = "Inception v3",
    groups: tuple[tuple[str, ...], ...] = GROUPS,
) -> Comparison:
    """Groups with coresplit in each; the machine is slower from round to round."""
    drawn = random.Random(0)
    turns = []
    for group, names in enumerate(groups):
        for number in range(rounds):
            for name in names:
                for load in LOADS:
                    spread = _SPREAD.get(name, 0.004)
                    rate = (
                        RATES[name] * drawn.uniform(1 - spread, 1 + spread) / (1 + number + group)
                    )
                    turns.append(a_turn(name, load, rate, (group, number), answered))
    return Comparison(
        model="inception",
        title=title,
        created_at=0.0,
        about=(("machine", "one that was made up"),),
        plan=Plan(light_requests=20, medium_rate=6.0, medium_s=4.0, saturating_requests=64),
        loads={load: f"what {load} means" for load in LOADS},
        own=OWN,
        servers=tuple(
            Server(
                label=name, name=name.partition(",")[0], setting="default", options="--workers 2"
            )
            for name in RATES
            if any(name in group for group in groups)
        ),
        left_out=(),
        turns=tuple(turns),
    )
