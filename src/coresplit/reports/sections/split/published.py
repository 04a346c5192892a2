"""The table of imported measurements of splits; pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from coresplit.analysis.splits import Proof
from coresplit.format import format_duration, listed, number
from coresplit.planner import Measured
from coresplit.records import Published
from coresplit.reports.document import Block, Line, Table
from coresplit.reports.sections.split.text import JUDGEMENTS, briefly, ratio

COLUMNS = (
    "batch", "cores", "optimization", "configuration", "instances", "latency", "range",
    "inferences/s", "split vs. this",
)  # fmt: skip
ABOUT = (
    "Published measurements of instances that ran at the same time. The latency of a configuration "
    "is the mean of its slowest instance, with the highest minimum and maximum. Rounds are not "
    "stated, so the noise is assumed."
)


def published_block(proofs: Sequence[Proof]) -> tuple[Block, ...]:
    """Imported measurements of instances that ran together; empty if there are none."""
    found = [proof for proof in proofs if any(each.published for each in proof.verification.trials)]
    if not found:
        return ()
    lines = tuple(line for proof in found for line in _lines(proof))
    counts = Counter(proof.outcome.verdict for proof in found if proof.outcome.speedups)
    verdicts = [f"{counts[one]} {said}" for one, said in JUDGEMENTS.items() if counts[one]]
    beside = f"; of {counts.total()} compared splits, {listed(verdicts)}" if verdicts else ""
    table = Table(
        summary=f"{len(lines)} configurations ran{beside}",
        head=COLUMNS,
        lines=lines,
        sortable=True,
    )
    return (Block(heading="Published Splits", tables=(table,), note=ABOUT),)


def _lines(proof: Proof) -> Iterator[Line]:
    for each in proof.outcome.measured.values():
        if each.trial.published is not None:
            yield _line(proof, each, each.trial.published)


def _line(proof: Proof, each: Measured, stated: Published) -> Line:
    ran, trial = proof.verification, each.trial
    speedup = proof.outcome.speedups.get(trial.name)
    throughput = ran.batch / stated.mean
    shape = briefly(trial.split)
    shape += f", {trial.missing} of them not stated" if trial.missing else ""
    span = f"{format_duration(stated.minimum)} to {format_duration(stated.maximum)}"
    texts = (
        str(ran.batch), str(ran.cores), str(ran.variant), trial.name, shape,
        format_duration(stated.mean), span, number(throughput), ratio(speedup) if speedup else "",
    )  # fmt: skip
    keys = (
        ran.batch, ran.cores, str(ran.variant), trial.name, trial.split.count, stated.mean,
        stated.maximum - stated.minimum, throughput, speedup.ratio if speedup else None,
    )  # fmt: skip
    return Line(texts=texts, keys=keys)
