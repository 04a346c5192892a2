"""Command lines that coresplit suggests to its user, quoted for a shell; pure."""

from collections.abc import Sequence
from shlex import quote


def bench_again(run: str, *, budget: str | None = None, allocators: Sequence[str] = ()) -> str:
    """The command that goes on measuring a run."""
    options = f" --budget {quote(budget)}" if budget else ""
    options += f" --allocator {quote(','.join(allocators))}" if allocators else ""
    return f"coresplit bench --resume {quote(run)}{options}"


def plan_command(run: str, *, batch: int | str, verify: bool = False) -> str:
    """The command that plans a batch of a run, and proves the plan by running it."""
    return f"coresplit plan {quote(run)} --batch {batch}{' --verify' if verify else ''}"
