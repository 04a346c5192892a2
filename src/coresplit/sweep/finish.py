"""Results for the cells that were not reached: an estimate, or why there is none."""

from collections.abc import Callable, Container, Iterable

from coresplit.records import Cell, Measurement
from coresplit.stats.estimate import Table, estimate, past_errors
from coresplit.stats.variance import Variance
from coresplit.sweep.pool import Key, key_of


def measurements_of_unreached(
    cells: Iterable[Cell],
    table: Table,
    why: Callable[[Cell], str],
    variance: Variance,
    largest_tensor: int,
) -> list[Measurement]:
    """One measurement per cell: ``estimated`` if the table supports it, else ``skipped``.

    ``why`` says why a cell was not measured, for example that the budget ran out.
    """
    errors = past_errors(table)
    found = []
    for cell in cells:
        prediction = estimate(cell, table, errors, variance, largest_tensor)
        if prediction is None:
            reason = f"{why(cell)}; no cell of the same threads was measured to estimate it from"
            found.append(Measurement(cell=cell, verdict="skipped", reason=reason))
            continue
        found.append(
            Measurement(
                cell=cell,
                verdict="estimated",
                reason=f"{why(cell)}; {prediction.reason}",
                estimate=prediction.estimate,
            )
        )
    return found


def why(reason: str, cell: Cell, unready: Container[Key]) -> str:
    """Why a cell was not measured in a sweep that ended for ``reason`` with instances unready."""
    if reason == "interrupted":
        return "the sweep was interrupted"
    if key_of(cell) in unready:
        return f"{cell.optimization} t={cell.threads} was not ready in time"
    return reason
