"""Running a planned split beside its rivals, as real pinned instances."""

from coresplit.verifier.rounds import Verifier

__all__ = ["Verifier"]
