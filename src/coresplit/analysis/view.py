"""What sentences and figures need of a run: claims, rows, and what they are compared with."""

from coresplit.analysis.rows import Group, Row, groups_of
from coresplit.analysis.significance import baseline_of
from coresplit.records import Run
from coresplit.stats.claims import Claims
from coresplit.stats.lossy import lossy_of


class RunView:
    """A judged run, worked out once: its claims, its drawable rows in groups, its baseline.

    ``order`` has every optimization of the settings or the rows once, in the order to name them.
    ``shown`` is what commands call the run: its path, where that is known, else its name.
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
