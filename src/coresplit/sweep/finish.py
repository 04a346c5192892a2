"""What is said of the cells that were not reached: an estimate, or why there is none."""

from collections.abc import Iterable

from coresplit.records import Cell, Measurement
from coresplit.stats.estimate import Table, estimate, past_errors
from coresplit.stats.variance import Variance


def measurements_of_unreached(
    cells: Iterable[Cell],
    table: Table,
    why: str,
    variance: Variance,
    largest_tensor: int,
) -> list[Measurement]:
    """One measurement per cell: ``estimated`` where the table supports it, else ``skipped``.

    ``why`` says why the cells were not measured, for example that the budget ran out.
    """
    errors = past_errors(table)
    found = []
    for cell in cells:
        prediction = estimate(cell, table, errors, variance, largest_tensor)
        if prediction is None:
            reason = f"{why}; no cell of the same threads was measured to estimate it from"
            found.append(Measurement(cell=cell, verdict="skipped", reason=reason))
            continue
        found.append(
            Measurement(
                cell=cell,
                verdict="estimated",
                reason=f"{why}; {prediction.reason}",
                estimate=prediction.estimate,
            )
        )
    return found
