"""Make the figures of a report: their points, colours and file names."""

from collections.abc import Sequence

from coresplit.analysis.rows import Row
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure, file_name
from coresplit.charts.line.chart import LineChart, Series
from coresplit.charts.line.spec import line_spec
from coresplit.charts.palette import optimization_colours
from coresplit.charts.points import ChartPoints, chart_points_of, derived_records
from coresplit.charts.theme import Spec
from coresplit.stats.difference import MARGIN


class Figures:
    """Makes the figures of a run with shared points and colours and unique file names."""

    def __init__(self, view: RunView) -> None:
        self.points: ChartPoints = chart_points_of(view.groups, view.claims, view.base)
        self.colours = optimization_colours(view.order)
        self._view = view
        self._taken: set[str] = set()

    def series(self, names: Sequence[str], rows: Sequence[Row]) -> tuple[Series, ...]:
        """A series for each optimization that has rows, in its colour."""
        members = ((o, tuple(row for row in rows if row.cell.optimization == o)) for o in names)
        return tuple(
            Series(value=name, label=name, colour=self.colours[name], rows=own)
            for name, own in members
            if own
        )

    def figure(self, caption: Caption, spec: Spec, rows: Sequence[Row] = ()) -> Figure:
        """A figure over points of the table; a number is added to its name if that is taken."""
        return Figure(
            name=self._free_name(f"{self._view.model.name}-{caption.name}"),
            title=caption.title,
            alt=caption.alt,
            finding=caption.finding,
            spec=spec,
            rows=tuple(self.points.index[str(row.cell)] for row in rows),
        )

    def line(self, caption: Caption, chart: LineChart) -> Figure:
        """A line chart over points of the table."""
        return self.figure(caption, line_spec(chart), chart.rows)

    def ratios(
        self, caption: Caption, rows: Sequence[Row], over: str, batches: Sequence[int]
    ) -> Figure:
        """The derived ratios of ``rows`` over ``batches``, a line for each optimization."""
        chart = LineChart(
            title=caption.title,
            metric="derived",
            x="b",
            field="o",
            heading="optimization",
            series=self.series(self._view.order, rows),
            lossy=self._view.lossy,
            unit=f"throughput (times {over})",
            suffix="x",
            band=MARGIN,
        )
        return self.derived(caption, chart, batches)

    def derived(self, caption: Caption, chart: LineChart, batches: Sequence[int]) -> Figure:
        """A line chart of derived values over ``batches``; the figure holds its own points."""
        points = {"values": derived_records(chart.rows, batches)}
        return self.figure(caption, {**line_spec(chart), "data": points})

    def _free_name(self, wanted: str) -> str:
        name, count = file_name(wanted), 2
        while name in self._taken:
            name, count = f"{file_name(wanted)}-{count}", count + 1
        self._taken.add(name)
        return name
