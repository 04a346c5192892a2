from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from report_many import TEN, imported, many_run, mostly_doubtful
from report_runs import exact, guessed, machine, run_of

from coresplit.analysis.ranking import Ranking, rankings_of
from coresplit.analysis.significance import baseline_of
from coresplit.analysis.view import RunView
from coresplit.records import Cell, Measurement, Prepared, Run
from coresplit.reports.compose import document_of
from coresplit.reports.document import Table
from coresplit.reports.figures import Figures
from coresplit.reports.sections.choice.text import (
    facts_of_choice,
    finding_of,
    tied_names,
    tied_text,
)
from coresplit.stats.difference import MARGIN


def stated(optimization: str, **changes: Any) -> Prepared:  # noqa: ANN401
    plain = Prepared(
        at=0.0,
        optimization=optimization,
        threads=1,
        start_s=1.0,
        prepare_s=2.0,
        error=0.0,
        largest_tensor=1,
    )
    return msgspec.structs.replace(plain, **changes)


def with_allocator(item: Measurement, allocator: str) -> Measurement:
    cell = msgspec.structs.replace(item.cell, allocator=allocator)
    return msgspec.structs.replace(item, cell=cell)


def small(items: Sequence[Measurement], lossy: Sequence[str] = ()) -> Run:
    run = run_of(*items)
    entries = [stated(name, facts={"lossy": "yes"}) for name in lossy]
    return msgspec.structs.replace(run, journal=(*run.journal, *entries))


def ranking(run: Run, place: int = 0) -> Ranking:
    return rankings_of(RunView(run))[place]


def finding(run: Run, place: int = 0) -> str:
    view = RunView(run)
    return finding_of(rankings_of(view)[place], view)


def table_of(run: Run, block: int = 0) -> Table:
    return document_of(run).sections[0].blocks[block].tables[0]


def spec_of(run: Run, name: str) -> dict[str, Any]:
    return next(figure.spec for figure in document_of(run).figures if figure.name == name)


def places(spec: dict[str, Any]) -> list[dict[str, Any]]:
    (values,) = [
        layer["data"]["values"]
        for layer in spec["layer"]
        if "tooltip" in layer.get("encoding", {}) and "data" in layer
    ]
    return list(values)


def test_the_best_of_a_place_is_the_one_of_highest_throughput_over_eager() -> None:
    run = run_of(exact("none", 1, 8, 20), exact("script", 1, 8, 10), exact("trace", 1, 8, 16))
    best = ranking(run).best[1, 8]
    assert (str(best.row.cell.variant), best.tied) == ("script", ())
    assert best.gain is not None
    assert best.gain.value == pytest.approx(2.0)
    assert finding(run) == (
        "script is the best lossless choice at 1 of 1 grid point, 2.0x eager (geometric mean)."
    )


def near(optimization: str, batch: int, milliseconds: float) -> Measurement:
    return exact(optimization, 1, batch, milliseconds, noise=0.03)


def test_a_place_without_a_sole_winner_names_those_not_told_apart() -> None:
    run = run_of(near("none", 8, 20), near("script", 8, 10), near("trace", 8, 10.2))
    best = ranking(run).best[1, 8]
    assert not best.sole
    assert tied_text(best) == "trace"
    assert table_of(run).lines[0].texts[2::4] == ("script", "trace")
    assert ranking(run).wins == (("script", 0),)


def test_only_places_with_a_sole_winner_are_counted_as_won() -> None:
    run = run_of(
        *(near("none", b, 20 * b) for b in (1, 2, 4)),
        *(near("script", b, 10 * b) for b in (1, 2, 4)),
        near("trace", 1, 9.9),
        near("trace", 2, 19.9),
        near("trace", 4, 60),
    )
    assert ranking(run).wins == (("script", 1), ("trace", 0))
    text = finding(run)
    assert text.startswith("script is the best lossless choice at 1 of 3 grid points, 2.0x eager")
    assert text.endswith("; too close to call at 2.")


def test_without_any_sole_winner_neither_the_sentence_nor_the_card_names_one() -> None:
    names = ("none", "script", "trace", "compile", "onnxruntime")
    items = [near(name, b, b * (10 + 0.02 * i)) for i, name in enumerate(names) for b in (1, 2, 4)]
    view = RunView(run_of(*items))
    found = rankings_of(view)
    assert finding_of(found[0], view).startswith("No best lossless choice")
    (fact,) = facts_of_choice(found, view)
    assert fact.value == "too close to call"


def test_a_card_that_knows_no_winner_yet_names_the_command_that_would_tell() -> None:
    run = run_of(near("none", 8, 10), near("script", 8, 10.1))
    run = msgspec.structs.replace(run, machine=machine(2))
    view = RunView(run)
    (fact,) = facts_of_choice(rankings_of(view), view)
    assert "coresplit bench --resume small --budget 30m" in fact.note


def test_an_estimate_wins_only_where_nothing_else_is_there() -> None:
    run = run_of(
        exact("none", 1, 1, 20),
        guessed("script", 1, 1, 5),
        guessed("none", 1, 2, 40),
        guessed("script", 1, 2, 10),
    )
    best = ranking(run).best
    assert (str(best[1, 1].row.cell.variant), best[1, 1].guessed) == ("none", False)
    assert (str(best[1, 2].row.cell.variant), best[1, 2].guessed) == ("script", True)
    assert finding(run).endswith("; 1 of the grid points is estimated.")
    drawn = {place["batch"]: place for place in places(spec_of(run, "tiny-choice-lossless"))}
    assert (drawn[1]["hollow"], drawn[2]["hollow"]) == (False, True)
    assert (drawn[1]["value"], drawn[2]["value"]) == ("1.00x", "~4.00x")


def test_lossy_and_lossless_choices_are_kept_apart() -> None:
    items = [exact("none", 1, 8, 20), exact("script", 1, 8, 10), exact("int8", 1, 8, 2)]
    view = RunView(small(items, lossy=("int8",)))
    found = [(c.kind, str(c.best[1, 8].row.cell.variant)) for c in rankings_of(view)]
    assert found == [("lossless", "script"), ("lossy", "int8")]
    names = [figure.name for figure in document_of(view.run).figures]
    assert names[:2] == ["tiny-choice-lossless", "tiny-choice-lossy"]


def test_a_run_that_does_not_state_its_losses_is_not_called_lossless() -> None:
    run = imported(many_run(batches=(1, 8)))
    assert [c.kind for c in rankings_of(RunView(run))] == ["any"]
    assert finding(run).startswith("int8 is the best choice at 4 of 4 grid points, 7.1x eager")
    assert finding(run).endswith("The run does not state which optimizations are lossy.")
    assert "lossless" not in document_of(run).facts[0].label


def test_of_tied_allocators_the_default_is_named_and_a_better_one_wins() -> None:
    base, quick = near("none", 8, 20), exact("none", 1, 8, 19.8, noise=0.06)
    run = run_of(base, with_allocator(quick, "tcmalloc"))
    best = ranking(run).best[1, 8]
    assert (str(best.row.cell.variant), tied_names(best)) == ("none", ["none with tcmalloc"])
    better = run_of(base, with_allocator(exact("none", 1, 8, 10), "tcmalloc"))
    assert str(ranking(better).best[1, 8].row.cell.variant) == "none with tcmalloc"
    assert finding(better).endswith(
        "2.0x eager with defaults (geometric mean); at 1 with a non-default allocator or mapping."
    )


def test_the_gain_is_over_eager_with_the_default_allocator() -> None:
    run = run_of(
        exact("none", 1, 8, 40),
        with_allocator(exact("none", 1, 8, 20), "tcmalloc"),
        with_allocator(exact("script", 1, 8, 10), "tcmalloc"),
    )
    gain = ranking(run).best[1, 8].gain
    assert gain is not None and gain.value == pytest.approx(4.0, rel=0.01)


def test_without_none_the_first_optimization_of_the_run_is_compared_with() -> None:
    run = many_run(batches=(1, 8), optimizations=("script", "openvino"))
    assert baseline_of(run) == "script"
    assert "x script (geometric mean)" in finding(run)
    assert "over script" in table_of(run).head
    titles = {figure.title for figure in document_of(run).figures}
    assert "Inception: gain of openvino over script" in titles
    assert baseline_of(many_run(batches=(1,), failing=("none",))) == "script"


def test_one_way_to_run_leaves_nothing_to_choose() -> None:
    document = document_of(many_run(batches=(1, 8), optimizations=("none",)))
    assert "Choice" not in [section.heading for section in document.sections]
    assert not [fact for fact in document.facts if "choice" in fact.label]


def test_the_facts_name_both_choices_and_what_the_lossy_one_costs() -> None:
    facts = document_of(many_run()).facts[:2]
    assert [fact.label for fact in facts] == ["Best lossless choice", "Best lossy choice"]
    assert facts[1].value == "int8"
    assert facts[1].note.endswith("for 25 % of 256 inputs")


def test_a_lossy_choice_without_agreement_says_that_it_is_not_known() -> None:
    items = [exact("none", 1, 8, 20), exact("int8", 1, 8, 2)]
    assert "unknown accuracy" in finding(small(items, lossy=("int8",)), 1)


def test_wide_places_name_the_winner_and_narrow_ones_only_its_gain() -> None:
    def texts(run: Run) -> set[str]:
        spec = spec_of(run, "inception-choice-lossless")
        return {
            layer["encoding"]["text"]["field"]
            for layer in spec["layer"]
            if "text" in layer.get("encoding", {})
        }

    assert {"way", "value"} <= texts(many_run((1, 2), (1, 8)))
    narrow = texts(many_run(range(1, 17), (1, 8)))
    assert "value" in narrow and "way" not in narrow


def test_narrow_places_mark_an_allocator_that_is_not_the_default() -> None:
    items = [exact("none", t, 1, 10) for t in range(1, 9)]
    run = run_of(*items, with_allocator(exact("none", 2, 1, 5), "tcmalloc"))
    drawn = {
        place["threads"]: place["value"] for place in places(spec_of(run, "tiny-choice-lossless"))
    }
    assert (drawn[1], drawn[2]) == ("1.00x", "2.00x*")


def test_every_place_lies_where_the_axes_say() -> None:
    spec = spec_of(many_run((1, 2, 4), (1, 8)), "inception-choice-lossless")
    assert spec["encoding"]["x"]["scale"]["domain"] == [1, 2, 4]
    assert spec["encoding"]["y"]["scale"]["domain"] == [8, 1]
    for place in places(spec):
        column = spec["encoding"]["x"]["scale"]["domain"].index(place["threads"])
        line = spec["encoding"]["y"]["scale"]["domain"].index(place["batch"])
        assert place["x0"] == pytest.approx(column * spec["width"] / 3)
        assert place["y0"] == pytest.approx(line * spec["height"] / 2)


def test_a_place_that_is_too_close_to_call_has_a_stripe_for_each_and_no_winner() -> None:
    run = run_of(near("none", 8, 20), near("script", 8, 10), near("trace", 8, 10.1))
    spec = spec_of(run, "tiny-choice-lossless")
    stripes = [
        layer["data"]["values"]
        for layer in spec["layer"]
        if layer.get("encoding", {}).get("fill", {}).get("field") == "edge"
    ]
    colours = Figures(RunView(run)).colours
    assert [stripe["edge"] for stripe in stripes[0]] == [colours["script"], colours["trace"]]
    assert places(spec)[0]["way"] == "too close to call"


def test_the_gain_chart_leaves_the_baseline_out_and_marks_where_values_are_tied() -> None:
    run = many_run((1, 2), (1, 8, 64))
    spec = spec_of(run, "inception-choice-gain-2")
    values = spec["data"]["values"]
    assert {value["o"] for value in values} == set(TEN) - {"none"}
    assert {value["t"] for value in values} == {2}
    assert spec["layer"][0]["data"]["values"][0]["high"] == pytest.approx(1 + MARGIN)


def test_packed_cells_take_no_part_beside_isolated_ones() -> None:
    packed = exact("none", 1, 8, 1)
    cell = Cell(optimization="none", threads=1, batch=8, setting="packed")
    run = run_of(
        exact("none", 1, 8, 20),
        exact("script", 1, 8, 10),
        msgspec.structs.replace(packed, cell=cell),
    )
    assert str(ranking(run).best[1, 8].row.cell.variant) == "script"


def test_a_run_of_mostly_doubtful_cells_gives_every_section() -> None:
    document = document_of(mostly_doubtful())
    assert document.sections[0].heading == "Choice"
    assert "; 8 of the grid points are estimated" in next(document.figures).finding


def test_of_equal_allocators_none_is_called_best_and_no_gain_is_named() -> None:
    items = [near("none", b, 20 * b) for b in (1, 2, 4)]
    others = [
        with_allocator(exact("none", 1, b, 19.7 * b, noise=0.06), "tcmalloc") for b in (1, 2, 4)
    ]
    run = run_of(*items, *others)
    assert finding(run).startswith("none: no allocator or mapping is shown to")
    view = RunView(run)
    assert facts_of_choice(rankings_of(view), view) == ()
