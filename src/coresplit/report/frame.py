"""What all figures of a run share: colours, names that are not taken yet, the table of points."""

from collections.abc import Sequence

from coresplit.records import Run
from coresplit.report.book import Caption, Figure, file_name
from coresplit.report.charts import line_spec
from coresplit.report.contrast import baseline_of
from coresplit.report.dataset import Dataset, dataset_of, derived_records
from coresplit.report.palette import optimization_colours
from coresplit.report.plot import LineChart, Series
from coresplit.report.table import Group, Row, groups_of
from coresplit.report.theme import Spec
from coresplit.stats.claims import Claims
from coresplit.stats.difference import MARGIN
from coresplit.stats.losses import lossy_of


class Frame:
    """Holds what the makers of figures need of a run, and hands out file names once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.model = run.model
        self.claims = Claims(run)
        self.groups: tuple[Group, ...] = groups_of(run, self.claims)
        self.base = baseline_of(run)
        self.lossy = lossy_of(run)
        self.dataset: Dataset = dataset_of(self.groups, self.claims, self.base)
        drawn = (name for g in self.groups for name in g.optimizations(run.settings.optimizations))
        self.order = tuple(dict.fromkeys([*run.settings.optimizations, *drawn]))
        self.colours = optimization_colours(self.order)
        self._taken: set[str] = set()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The drawable rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)

    def series(self, names: Sequence[str], rows: Sequence[Row]) -> tuple[Series, ...]:
        """A series for each optimization that has rows, in its colour."""
        members = ((o, tuple(row for row in rows if row.cell.optimization == o)) for o in names)
        return tuple(
            Series(value=name, label=name, colour=self.colours[name], rows=own)
            for name, own in members
            if own
        )

    def ratio_chart(self, title: str, rows: Sequence[Row], over: str) -> LineChart:
        """The derived ratios of ``rows`` over batch, a line for each optimization."""
        return LineChart(
            title=title,
            description=title,
            metric="derived",
            x="b",
            field="o",
            heading="optimization",
            series=self.series(self.order, rows),
            lossy=self.lossy,
            unit=f"throughput (times {over})",
            suffix="x",
            band=MARGIN,
        )

    def figure(self, caption: Caption, title: str, spec: Spec, rows: Sequence[Row] = ()) -> Figure:
        """A figure over points of the table; its name becomes its own if it was taken."""
        return Figure(
            name=self._free_name(f"{self.model.name}-{caption.name}"),
            title=title,
            alt=caption.alt,
            finding=caption.finding,
            spec=spec,
            rows=tuple(self.dataset.index[str(row.cell)] for row in rows),
        )

    def derived_figure(self, caption: Caption, chart: LineChart, batches: Sequence[int]) -> Figure:
        """A line chart over ``batches`` of derived values, which it holds itself."""
        rows = [row for series in chart.series for row in series.rows]
        points = {"values": derived_records(rows, batches)}
        return self.figure(caption, chart.title, {**line_spec(chart), "data": points})

    def _free_name(self, wanted: str) -> str:
        name, count = file_name(wanted), 2
        while name in self._taken:
            name, count = f"{file_name(wanted)}-{count}", count + 1
        self._taken.add(name)
        return name
