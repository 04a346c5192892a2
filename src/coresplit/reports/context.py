"""What sections share while figures are made: chart points, colours and free file names."""

from collections.abc import Sequence

from coresplit.analysis.rows import Row
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure, file_name
from coresplit.charts.line.chart import LineChart, Series
from coresplit.charts.line.spec import line_spec
from coresplit.charts.palette import optimization_colours
from coresplit.charts.points import ChartPoints, chart_points_of, derived_records
from coresplit.charts.theme import Spec
from coresplit.records import Run
from coresplit.stats.difference import MARGIN


class Context(RunView):
    """A view of a run with its chart points and colours; makes figures and names each only once."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.chart_points: ChartPoints = chart_points_of(self.groups, self.claims, self.base)
        self.colours = optimization_colours(self.order)
        self._taken: set[str] = set()

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
            rows=tuple(self.chart_points.index[str(row.cell)] for row in rows),
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
