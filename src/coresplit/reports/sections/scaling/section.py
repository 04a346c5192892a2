"""The sections on latency and throughput over threads and batch, and their maps."""

from collections.abc import Iterator, Sequence

from coresplit.analysis.rows import Group, Row
from coresplit.analysis.significance import differs
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.heatmap import GridMap, gain_map_spec, throughput_map_spec
from coresplit.charts.line.chart import Axis, LineChart, Metric, Series, place_of
from coresplit.charts.palette import ordered_colours
from coresplit.charts.scales import LOG_SPAN
from coresplit.reports.document import Block, Section
from coresplit.reports.figures import Figures
from coresplit.reports.sections.scaling import text

FEW_THREADS = 3
"""With at most this many thread counts, speedup is drawn over batch: two points make no curve."""
HEADINGS = {"o": "optimization", "b": "batch", "t": "threads"}


def scaling_sections(view: RunView, figures: Figures) -> tuple[Section, ...]:
    """The figures of every mapping and setting with the first allocator.

    ``comparison_section`` compares the other allocators with it.
    """
    return tuple(
        section
        for group in view.groups
        if group.allocator == view.groups[0].allocator
        for section in _Maker(view, figures, group).sections()
    )


class _Maker:
    """Makes the figures of one group; holds what all of them need."""

    def __init__(self, view: RunView, figures: Figures, group: Group) -> None:
        self.model = view.model.title
        self.view, self.figures, self.group = view, figures, group
        self.names = group.optimizations(view.run.settings.optimizations)
        self.compared = tuple(name for name in self.names if name != view.base) or self.names
        self.where = f" ({group.title.lower()})" if group.suffix else ""
        self.has_grid = len(group.threads) > 1 and len(group.batches) > 1

    def sections(self) -> Iterator[Section]:
        """The sections of the group in the order of the published page, then the maps."""
        listed = (
            (
                "Latency",
                ("Latency Per Batch", self._per_batch("latency")),
                ("Latency Per Optimization", self._per_optimization("latency")),
            ),
            (
                "Throughput",
                ("Throughput Per Batch", self._per_batch("throughput")),
                ("Throughput Per Optimization", self._per_optimization("throughput")),
                ("Speedup", self._speedup()),
                ("Throughput Per Batch", self._over_batch()),
            ),
            (
                "Maps",
                ("Throughput Map", self._throughput_maps()),
                ("Gain Map", self._gain_maps()),
            ),
        )
        for heading, *parts in listed:
            blocks = [Block(heading=name, figures=tuple(made)) for name, made in parts]
            if filled := tuple(block for block in blocks if not block.empty):
                yield Section(heading=f"{heading} ({self.group.title})", blocks=filled)

    def _per_batch(self, metric: Metric) -> Iterator[Figure]:
        say = text.latency_at_batch if metric == "latency" else text.throughput_at_batch
        for batch in self.group.batches:
            rows = tuple(row for row in self.group.rows if row.cell.batch == batch)
            chart = self._chart(metric, "t", "o", rows, f"batch {batch}")
            alt = f"{metric.capitalize()} BS={batch}"
            yield self._line(f"{metric}-{batch}", alt, say(rows, self.view.claims), chart)

    def _per_optimization(self, metric: Metric) -> Iterator[Figure]:
        latency = metric == "latency"
        say = text.latency_of_optimization if latency else text.throughput_of_optimization
        for name in self.names:
            rows = self._of(name)
            chart = self._chart(metric, "t", "b", rows, name)
            alt = f"{metric.capitalize()} Opt={name.capitalize()}"
            yield self._line(f"{metric}-{name}", alt, say(rows, self.view.claims), chart)

    def _speedup(self) -> Iterator[Figure]:
        few = len(self.group.threads) <= FEW_THREADS and len(self.group.batches) > FEW_THREADS
        for name in self.compared:
            rows = tuple(row for row in self._of(name) if row.speedup is not None)
            if len({row.cell.threads for row in rows}) < 2:
                continue
            if few:
                drawn = [r for r in rows if r.speedup and r.speedup.base < r.cell.threads]
                chart = self._chart("speedup", "b", "t", drawn, name)
            else:
                chart = self._chart("speedup", "t", "b", rows, name)
            alt = f"Throughput Speedup Opt={name.capitalize()}"
            finding = text.speedup_of_optimization(rows, self.view.claims)
            yield self._line(f"throughput-speedup-{name}", alt, finding, chart)

    def _over_batch(self) -> Iterator[Figure]:
        for name in self.compared:
            rows = self._of(name)
            chart = self._chart("throughput", "b", "t", rows, name)
            alt = f"Throughput per BS Opt={name.capitalize()}"
            finding = text.throughput_over_batch(rows, self.view.claims)
            yield self._line(f"throughput-{name}-perBS", alt, finding, chart)

    def _throughput_maps(self) -> Iterator[Figure]:
        for name in self.names if self.has_grid else ():
            rows = self._of(name)
            title = f"{self.model}: throughput, {name}{self.where}"
            alt = f"Throughput Map Opt={name.capitalize()}"
            finding = text.throughput_map(rows, self.view.claims)
            caption = self._caption(f"map-throughput-{name}", title, alt, finding)
            chart = GridMap(title=title, description=caption.alt, rows=rows)
            yield self.figures.figure(caption, throughput_map_spec(chart), rows)

    def _gain_maps(self) -> Iterator[Figure]:
        base = {(row.cell.threads, row.cell.batch): row for row in self._of(self.view.base)}
        for name in self.names if self.has_grid else ():
            rows = tuple(r for r in self._of(name) if (r.cell.threads, r.cell.batch) in base)
            if name == self.view.base or not rows:
                continue
            pairs = [(row, base[row.cell.threads, row.cell.batch]) for row in rows]
            apart = [
                row.throughput / rival.throughput
                for row, rival in pairs
                if differs(row, rival, self.view.claims)
            ]
            title = f"{self.model}: gain of {name} over {self.view.base}{self.where}"
            alt = f"Gain Map Opt={name.capitalize()}"
            finding = text.gain_map(pairs, self.view.claims)
            caption = self._caption(f"map-gain-{name}", title, alt, finding)
            chart = GridMap(title=title, description=caption.alt, rows=rows, over=self.view.base)
            yield self.figures.figure(caption, gain_map_spec(chart, apart), rows)

    def _of(self, optimization: str) -> tuple[Row, ...]:
        return tuple(row for row in self.group.rows if row.cell.optimization == optimization)

    def _series(self, field: str, rows: Sequence[Row]) -> tuple[Series, ...]:
        """One line per value of a field; numbers are coloured by their rank."""
        if field == "o":
            return self.figures.series(self.names, rows)
        axis: Axis = "b" if field == "b" else "t"
        values = self.group.batches if field == "b" else self.group.threads
        members: dict[int, list[Row]] = {value: [] for value in values}
        for row in rows:
            members[place_of(row, axis)].append(row)
        colours = ordered_colours(len(values))
        return tuple(
            Series(value=value, label=str(value), colour=colour, rows=tuple(own))
            for (value, own), colour in zip(members.items(), colours, strict=True)
            if own
        )

    def _log(self, metric: Metric, field: str) -> bool:
        """True for a log scale, the same for all figures of a block so that they compare."""
        if metric == "speedup":
            return False
        spans: dict[int | str, list[float]] = {}
        for row in self.group.rows:
            own = row.cell.batch if field == "o" else row.cell.optimization
            value = row.point.latency if metric == "latency" else row.throughput
            spans.setdefault(own, []).append(value)
        return any(max(own) / min(own) >= LOG_SPAN[metric] for own in spans.values())

    def _chart(
        self, metric: Metric, x: Axis, field: str, rows: Sequence[Row], what: str
    ) -> LineChart:
        return LineChart(
            title=f"{self.model}: {metric} over {HEADINGS[x]}, {what}{self.where}",
            metric=metric,
            x=x,
            field=field,
            heading=HEADINGS[field],
            series=self._series(field, rows),
            log=self._log(metric, field),
            lossy=self.view.lossy if field == "o" else frozenset(),
        )

    def _caption(self, name: str, title: str, alt: str, finding: str) -> Caption:
        name, alt = f"{name}{self.group.suffix}", f"{self.model} {alt}"
        return Caption(name=name, title=title, alt=alt, finding=finding)

    def _line(self, name: str, alt: str, finding: str, chart: LineChart) -> Figure:
        return self.figures.line(self._caption(name, chart.title, alt, finding), chart)
