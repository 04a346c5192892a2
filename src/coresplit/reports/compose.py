"""Build the document of a run: its sections in page order, and what was measured."""

from coresplit.analysis.ranking import rankings_of
from coresplit.analysis.splits import choices_of
from coresplit.analysis.view import RunView
from coresplit.records import Run
from coresplit.reports.document import Document
from coresplit.reports.figures import Figures
from coresplit.reports.sections.about import about, counts_of, reading_of, sentence_of
from coresplit.reports.sections.cells import cell_table, evidence_of, undrawn_table
from coresplit.reports.sections.choice.section import choice_section
from coresplit.reports.sections.comparisons import comparison_section
from coresplit.reports.sections.efficiency import distance_section
from coresplit.reports.sections.facts import facts_of
from coresplit.reports.sections.scaling.section import scaling_sections
from coresplit.reports.sections.split.section import split_section
from coresplit.reports.wording import date
from coresplit.stats.lossy import unchecked_text


def document_of(run: Run) -> Document:
    """Return everything that the pages of a run show; sections without data are left out."""
    view = RunView(run)
    figures = Figures(view)
    rankings, choices = rankings_of(view), choices_of(view)
    sections = (
        choice_section(rankings, view, figures),
        split_section(choices, view, figures),
        *scaling_sections(view, figures),
        comparison_section("mapping", view, figures),
        comparison_section("allocator", view, figures),
        distance_section(view, figures),
    )
    return Document(
        run=run.name,
        title=run.model.title,
        created=date(run.created_at) if run.created_at > 0 else "",
        sentence=sentence_of(run),
        facts=facts_of(rankings, choices, view),
        about=about(view),
        counts=counts_of(run),
        reading=reading_of(view),
        warnings=tuple(filter(None, [*run.warnings, unchecked_text(run)])),
        sections=tuple(filter(None, sections)),
        cells=cell_table(view),
        undrawn=undrawn_table(view),
        evidence=evidence_of(run),
        chart_points=figures.points,
    )
