"""What the Python interface gives: runs, plans and verifications that show themselves."""

from pathlib import Path
from typing import Any

from coresplit.analysis.cells import cell_records
from coresplit.planner import Outcome, outcome_of, proof_of
from coresplit.records import Ended
from coresplit.records import Run as RunRecord
from coresplit.records import Verification as VerificationRecord
from coresplit.workflows import planning
from coresplit.workflows.showing.notebook import plan_html, run_html, verification_html
from coresplit.workflows.showing.plan_document import document, verification_document
from coresplit.workflows.showing.plan_text import lines_of, verdict_lines


class Run:
    """What was measured, and the folder that holds it.

    ``path`` is the folder. ``record`` is everything in it, with verdicts as they stand now.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.record.name

    @property
    def ended(self) -> str:
        """How the newest sweep ended: ``complete``, why it is not, or empty where none has."""
        ends = [entry.reason for entry in self.record.journal if isinstance(entry, Ended)]
        return ends[-1] if ends else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the folder."""
        return self.record.warnings

    def records(self) -> list[dict[str, Any]]:
        """A plain dict for every cell, for any data frame library.

        Keys: ``model``, ``optimization``, ``threads``, ``batch``, ``mapping``, ``allocator``,
        ``setting``, ``verdict``, ``reason``; ``latency_s`` with the ends of its interval
        ``latency_low_s`` and ``latency_high_s`` (95 %, for estimates the expected range);
        ``throughput`` in inferences per second; ``samples``, ``visits``; ``peak_memory`` in bytes
        and ``page_faults`` per forward. What is not known is None.

        Examples:
            >>> import coresplit
            >>> run = coresplit.bench("fake", threads=[1, 2], batches=[1, 8], out=folder / "run")
            >>> sorted({record["threads"] for record in run.records()})
            [1, 2]
        """
        return cell_records(self.record)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<coresplit.Run {self.name}: {len(self.record.measurements)} cells in {self.path}>"

    def _repr_html_(self) -> str:
        return run_html(self.record)


class Plan:
    """How to divide cores and a batch over instances, and what that is predicted to gain."""

    def __init__(self, run: Run, answer: planning.Answer) -> None:
        self.run = run
        self.answer = answer

    @property
    def batch(self) -> int:
        """Inputs that are divided."""
        return self.answer.plan.batch

    @property
    def cores(self) -> int:
        """Cores that are divided."""
        return self.answer.plan.cores

    @property
    def optimization(self) -> str:
        """The optimization of every instance."""
        return self.answer.plan.variant.optimization

    @property
    def split(self) -> tuple[tuple[int, int, int], ...]:
        """What is recommended: (instances, threads of each, batch of each) for every kind."""
        pieces = self.answer.plan.recommended.split.pieces
        return tuple((piece.instances, piece.threads, piece.batch) for piece in pieces)

    @property
    def latency(self) -> float:
        """Predicted seconds until the whole batch is done."""
        return self.answer.plan.recommended.predicted.value

    @property
    def throughput(self) -> float:
        """Predicted inferences per second."""
        return self.answer.plan.recommended.throughput

    @property
    def verdict(self) -> str:
        """How the fastest split compares with one instance on all cores."""
        return self.answer.plan.verdict or "nothing to compare with"

    @property
    def proof(self) -> VerificationRecord | None:
        """The newest verification of this plan in its run; None where it was not run yet."""
        return proof_of(self.answer.plan, self.run.record.journal)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, as ``coresplit plan`` writes it as JSON."""
        return document(self.answer, self.proof)

    def __str__(self) -> str:
        return "\n".join(lines_of(self.answer, self.proof))

    def __repr__(self) -> str:
        return f"<coresplit.Plan batch {self.batch} on {self.cores} cores: {self.split}>"

    def _repr_html_(self) -> str:
        return plan_html(self.to_dict())


class Verification:
    """A plan as it ran beside one instance on all cores and one-thread instances."""

    def __init__(self, plan: Plan, record: VerificationRecord) -> None:
        self.plan = plan
        self.record = record
        self.outcome: Outcome = outcome_of(record, plan.answer.variance)

    @property
    def verdict(self) -> str:
        """``confirmed``, ``tied`` or ``refuted``."""
        return self.outcome.verdict

    @property
    def rounds(self) -> int:
        """How often every configuration was run."""
        return len(self.record.trials[0].samples)

    @property
    def speedups(self) -> dict[str, float]:
        """How many times as fast the split was as ``fat`` and ``thin``, where they ran."""
        return {name: each.ratio for name, each in self.outcome.speedups.items()}

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, as a verified plan has it as JSON."""
        return verification_document(self.plan.answer.plan, self.record, self.outcome)

    def __str__(self) -> str:
        return "\n".join(verdict_lines(self.record, self.plan.answer))

    def __repr__(self) -> str:
        return f"<coresplit.Verification {self.verdict} over {self.rounds} rounds>"

    def _repr_html_(self) -> str:
        return verification_html(self.to_dict())
