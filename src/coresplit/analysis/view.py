"""What sentences and figures need from a run: claims, rows and the baseline."""

from coresplit.analysis.rows import Group, Row, groups_of
from coresplit.analysis.significance import baseline_of
from coresplit.records import Run
from coresplit.stats.claims import Claims
from coresplit.stats.lossy import lossy_of


class RunView:
    """A judged run with computed claims, drawable rows in groups, and baseline.

    ``order`` has every optimization of the settings or the rows once, in the order to name them.
    ``shown`` is what printed commands call the run: its path if known, else its name.
    """

    def __init__(self, run: Run, shown: str = "") -> None:
        self.run = run
        self.shown = shown or run.name
        self.model = run.model
        self.claims = Claims(run)
        self.groups: tuple[Group, ...] = groups_of(run, self.claims)
        self.base = baseline_of(run)
        self.lossy = lossy_of(run)
        drawn = (name for g in self.groups for name in g.optimizations(run.settings.optimizations))
        self.order = tuple(dict.fromkeys([*run.settings.optimizations, *drawn]))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The drawable rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)
