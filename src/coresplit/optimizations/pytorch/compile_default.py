"""torch.compile with its default backend, inductor."""

from coresplit.optimizations.base import Optimization, Prepared, Subject

OPTIMIZATION = Optimization(
    name="compile",
    title="torch.compile",
    description="torch.compile (inductor), compiled once for all batches",
    packages=("torch",),
    extra="torch",
    programs=("g++",),
    makes="compiled",
    module=__name__,
)


def prepare(subject: Subject) -> Prepared:
    """The module, compiled."""
    from coresplit.optimizations.pytorch.inductor import compiled  # noqa: PLC0415

    assert subject.module is not None
    return compiled(subject, subject.module, freezing=False, facts={})
