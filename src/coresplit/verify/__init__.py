"""Running a planned split beside its rivals, as real pinned instances."""

from coresplit.verify.verifier import Verifier

__all__ = ["Verifier"]
