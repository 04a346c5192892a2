"""Which figures a run gets: names, headings, sentences and specifications, in page order."""

from collections.abc import Callable, Sequence

import msgspec

from coresplit.analysis.rows import Group, Row
from coresplit.analysis.significance import differs
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.heatmap import GridMap, gain_map_spec, throughput_map_spec
from coresplit.charts.line.chart import Axis, LineChart, Metric, Series
from coresplit.charts.line.spec import line_spec
from coresplit.charts.palette import ordered_colours
from coresplit.charts.scales import LOG_SPAN
from coresplit.charts.theme import Spec
from coresplit.records import Run
from coresplit.reports.context import Context
from coresplit.reports.document import Block, Document, Section
from coresplit.reports.sections import scaling_text
from coresplit.reports.sections.choice.section import choice_section
from coresplit.reports.sections.comparisons import comparison_sections
from coresplit.reports.sections.efficiency import distance_section
from coresplit.reports.sections.page_faults import about_faults
from coresplit.reports.sections.split.section import split_section
from coresplit.stats.claims import Claims
from coresplit.stats.noise import noise_floor

FEW_THREADS = 3
"""Up to this many thread counts a speedup is drawn over batch: two points make no curve."""

Sentence = Callable[[Sequence[Row], Claims], str]


def document_of(run: Run) -> Document:
    """Plan every figure of a run; sections without data are left out.

    Every mapping and setting has the full set of figures. Of several allocators only the first
    has: the others are compared with it.
    """
    context = Context(run)
    choice, facts = choice_section(context)
    split, split_facts = split_section(context)
    sections = [section for section in (choice, split) if section]
    for group in context.groups:
        if group.allocator == context.groups[0].allocator:
            sections += _Maker(context, group).sections()
    sections += comparison_sections(context)
    distance = distance_section(context)
    sections += [distance] if distance else []
    return Document(
        sections=tuple(sections),
        chart_points=context.chart_points,
        claims=context.claims,
        noise=noise_floor(context.run.journal),
        groups=context.groups,
        facts=(*facts, *split_facts),
        about=about_faults(run, context),
    )


class _Maker:
    """Makes the figures of one group; holds what all of them need."""

    def __init__(self, context: Context, group: Group) -> None:
        self.context = context
        self.model = context.model
        self.group = group
        self.claims = context.claims
        self.base = context.base
        self.optimizations = group.optimizations(context.run.settings.optimizations)
        others = tuple(name for name in self.optimizations if name != self.base)
        self.compared = others or self.optimizations

    def sections(self) -> list[Section]:
        """The sections of the group, in the order of the published page and then the maps."""
        listed = [
            ("Latency", [self._per_batch("latency"), self._per_optimization("latency")]),
            (
                "Throughput",
                [
                    self._per_batch("throughput"),
                    self._per_optimization("throughput"),
                    self._speedup(),
                    self._over_batch(),
                ],
            ),
            ("Maps", [self._throughput_maps(), self._gain_maps()]),
        ]
        return [
            Section(heading=f"{heading} ({self.group.title})", blocks=filled)
            for heading, blocks in listed
            if (filled := tuple(block for block in blocks if not block.empty))
        ]

    def _per_batch(self, metric: Metric) -> Block:
        figures = []
        sentence: Sentence = (
            scaling_text.latency_at_batch
            if metric == "latency"
            else scaling_text.throughput_at_batch
        )
        for batch in self.group.batches:
            rows = self._at_batch(batch)
            series = self.context.series(self.optimizations, rows)
            chart = self._chart(metric, "t", "o", series, f"batch {batch}")
            alt = f"{self.model.title} {metric.capitalize()} BS={batch}"
            figures.append(
                self._line(
                    Caption(name=f"{metric}-{batch}", alt=alt, finding=sentence(rows, self.claims)),
                    chart,
                )
            )
        return Block(heading=f"{metric.capitalize()} Per Batch", figures=tuple(figures))

    def _per_optimization(self, metric: Metric) -> Block:
        sentence: Sentence = (
            scaling_text.latency_of_optimization
            if metric == "latency"
            else scaling_text.throughput_of_optimization
        )
        figures = []
        for name in self.optimizations:
            rows = self._of(name)
            chart = self._chart(metric, "t", "b", self._ordered("b", rows), name)
            alt = f"{self.model.title} {metric.capitalize()} Opt={name.capitalize()}"
            figures.append(
                self._line(
                    Caption(name=f"{metric}-{name}", alt=alt, finding=sentence(rows, self.claims)),
                    chart,
                )
            )
        return Block(heading=f"{metric.capitalize()} Per Optimization", figures=tuple(figures))

    def _speedup(self) -> Block:
        figures = []
        few = len(self.group.threads) <= FEW_THREADS and len(self.group.batches) > FEW_THREADS
        for name in self.compared:
            rows = tuple(row for row in self._of(name) if row.speedup is not None)
            if len({row.cell.threads for row in rows}) < 2:
                continue
            drawn = rows
            if few:
                drawn = tuple(r for r in rows if r.speedup and r.speedup.base < r.cell.threads)
            axis: Axis = "b" if few else "t"
            series = self._ordered("t" if few else "b", drawn)
            chart = self._chart("speedup", axis, "t" if few else "b", series, name)
            alt = f"{self.model.title} Throughput Speedup Opt={name.capitalize()}"
            finding = scaling_text.speedup_of_optimization(rows, self.claims)
            figures.append(
                self._line(
                    Caption(name=f"throughput-speedup-{name}", alt=alt, finding=finding), chart
                )
            )
        return Block(heading="Speedup", figures=tuple(figures))

    def _over_batch(self) -> Block:
        figures = []
        for name in self.compared:
            rows = self._of(name)
            chart = self._chart("throughput", "b", "t", self._ordered("t", rows), name)
            alt = f"{self.model.title} Throughput per BS Opt={name.capitalize()}"
            finding = scaling_text.throughput_over_batch(rows, self.claims)
            figures.append(
                self._line(
                    Caption(name=f"throughput-{name}-perBS", alt=alt, finding=finding), chart
                )
            )
        return Block(heading="Throughput Per Batch", figures=tuple(figures))

    def _throughput_maps(self) -> Block:
        figures = []
        for name in self.optimizations if self._has_grid() else ():
            rows = self._of(name)
            title = f"{self.model.title}: throughput, {name}{self._where()}"
            alt = f"{self.model.title} Throughput Map Opt={name.capitalize()}"
            spec = throughput_map_spec(GridMap(title=title, description=alt, rows=rows))
            finding = scaling_text.throughput_map(rows, self.claims)
            figures.append(
                self._figure(
                    Caption(name=f"map-throughput-{name}", alt=alt, finding=finding),
                    title,
                    spec,
                    rows,
                )
            )
        return Block(heading="Throughput Map", figures=tuple(figures))

    def _gain_maps(self) -> Block:
        figures = []
        base = {
            (row.cell.threads, row.cell.batch): row
            for row in self.group.rows
            if row.cell.optimization == self.base
        }
        for name in self.optimizations if self._has_grid() else ():
            rows = tuple(r for r in self._of(name) if (r.cell.threads, r.cell.batch) in base)
            if name == self.base or not rows:
                continue
            pairs = [(row, base[row.cell.threads, row.cell.batch]) for row in rows]
            apart = [
                row.throughput / rival.throughput
                for row, rival in pairs
                if differs(row, rival, self.claims)
            ]
            title = f"{self.model.title}: gain of {name} over {self.base}{self._where()}"
            alt = f"{self.model.title} Gain Map Opt={name.capitalize()}"
            chart = GridMap(title=title, description=alt, rows=rows, over=self.base)
            spec = gain_map_spec(chart, apart)
            finding = scaling_text.gain_map(pairs, self.claims)
            figures.append(
                self._figure(
                    Caption(name=f"map-gain-{name}", alt=alt, finding=finding), title, spec, rows
                )
            )
        return Block(heading="Gain Map", figures=tuple(figures))

    def _has_grid(self) -> bool:
        return len(self.group.threads) > 1 and len(self.group.batches) > 1

    def _of(self, optimization: str) -> tuple[Row, ...]:
        return tuple(row for row in self.group.rows if row.cell.optimization == optimization)

    def _at_batch(self, batch: int) -> tuple[Row, ...]:
        return tuple(row for row in self.group.rows if row.cell.batch == batch)

    def _ordered(self, field: str, rows: Sequence[Row]) -> list[Series]:
        """A series for each batch or thread count; its colour is that of its place in the run."""
        axis = self.group.batches if field == "b" else self.group.threads
        colours = dict(zip(axis, ordered_colours(len(axis)), strict=True))
        members: dict[int, list[Row]] = {value: [] for value in axis}
        for row in rows:
            members[row.cell.batch if field == "b" else row.cell.threads].append(row)
        return [
            Series(value=value, label=str(value), colour=colours[value], rows=tuple(own))
            for value, own in members.items()
            if own
        ]

    def _log(self, metric: Metric, field: str) -> bool:
        """One answer for all figures of a block, so that their shapes can be compared."""
        if metric == "speedup":
            return False
        spans: dict[int | str, list[float]] = {}
        for row in self.group.rows:
            own = row.cell.batch if field == "o" else row.cell.optimization
            value = row.point.latency if metric == "latency" else row.throughput
            spans.setdefault(own, []).append(value)
        return any(max(own) / min(own) >= LOG_SPAN[metric] for own in spans.values())

    def _where(self) -> str:
        return f" ({self.group.title.lower()})" if self.group.suffix else ""

    def _chart(
        self, metric: Metric, x: Axis, field: str, series: Sequence[Series], what: str
    ) -> LineChart:
        headings = {"o": "optimization", "b": "batch", "t": "threads"}
        over = "threads" if x == "t" else "batch"
        title = f"{self.model.title}: {metric} over {over}, {what}{self._where()}"
        return LineChart(
            title=title,
            description=title,
            metric=metric,
            x=x,
            field=field,
            heading=headings[field],
            series=tuple(series),
            log=self._log(metric, field),
            lossy=self.context.lossy if field == "o" else frozenset(),
        )

    def _line(self, caption: Caption, chart: LineChart) -> Figure:
        rows = [row for series in chart.series for row in series.rows]
        return self._figure(caption, chart.title, line_spec(chart), rows)

    def _figure(self, caption: Caption, title: str, spec: Spec, rows: Sequence[Row]) -> Figure:
        suffixed = msgspec.structs.replace(caption, name=f"{caption.name}{self.group.suffix}")
        return self.context.figure(suffixed, title, spec, rows)
