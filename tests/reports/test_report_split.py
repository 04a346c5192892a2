from io import BytesIO
from pathlib import Path
from typing import Any

import altair
import msgspec
import pytest
from PIL import Image
from report_runs import exact, guessed, measured_run, run_of
from report_splits import (
    HAND,
    formula_run,
    hand_run,
    plan_of,
    server_run,
    verified,
    with_proofs,
)

from coresplit import store
from coresplit.analysis.splits import choices_of
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Figure
from coresplit.charts.render import complete, picture
from coresplit.charts.theme import TOTAL, WIDTH, config
from coresplit.planner import interpolated, plan, profiles_of
from coresplit.records import Configuration, Measurement, Prepared, Run
from coresplit.reports.compose import document_of
from coresplit.reports.document import Block, Section
from coresplit.reports.pages.html import html_page
from coresplit.reports.pages.markdown import markdown_page
from coresplit.reports.sections.split.points import speedup_points

HEADING = "How to split this machine"
PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "published"


def section(run: Run) -> Section:
    return next(each for each in document_of(run).sections if each.heading == HEADING)


def block(run: Run, heading: str) -> Block:
    return next(each for each in section(run).blocks if each.heading == heading)


def table(run: Run) -> list[tuple[str, ...]]:
    return [line.texts for line in block(run, "Best Split Per Batch").tables[0].lines]


def lines(run: Run) -> dict[str, dict[str, str]]:
    """The texts of the table by batch and column."""
    found = block(run, "Best Split Per Batch").tables[0]
    return {line.texts[0]: dict(zip(found.head, line.texts, strict=True)) for line in found.lines}


def column(run: Run, name: str) -> list[str]:
    return [line[name] for line in lines(run).values()]


def note(run: Run) -> str:
    return block(run, "Best Split Per Batch").note


def figure(run: Run, name: str) -> Figure:
    return next(each for each in document_of(run).figures if each.name.endswith(name))


def split_figures(run: Run) -> list[str]:
    names = (each.name for each in document_of(run).figures)
    return [name.split("-", 1)[1] for name in names if "-split-" in name]


def marks(run: Run, name: str) -> list[dict[str, Any]]:
    """What the layer of a figure that has a tooltip draws."""
    (values,) = [
        layer["data"]["values"]
        for layer in figure(run, name).spec["layer"]
        if "tooltip" in layer.get("encoding", {})
    ]
    return list(values)


def written(run: Run, name: str) -> list[str]:
    return [
        entry["text"]
        for layer in figure(run, name).spec["layer"]
        if layer.get("encoding", {}).get("text") == {"field": "text"}
        for entry in layer["data"]["values"]
        if entry["text"]
    ]


def proven() -> Run:
    """The four cores with batch 8 confirmed, batch 4 tied and batch 2 refuted."""
    run = hand_run()
    return with_proofs(
        run,
        verified(plan_of(run, 8), {"split": 1.0, "fat": 0.9, "thin": 1.0}, spread=0.0),
        verified(plan_of(run, 4), {"split": 1.25, "fat": 1.0, "thin": 1.3}, at=2.0, spread=0.3),
        verified(plan_of(run, 2), {"split": 1.5, "fat": 1.0, "thin": 1.0}, at=3.0, spread=0.0),
    )


def cells(*items: Measurement) -> Run:
    return msgspec.structs.replace(hand_run(), measurements=items)


def test_the_table_has_a_line_for_every_batch() -> None:
    run = hand_run()
    assert column(run, "batch") == ["1", "2", "4", "8"]
    assert column(run, "run") == [
        "1 instance of 4 threads, batch 1",
        "2 instances of 2 threads, batch 1",
        "2 instances of 2 threads, batch 2",
        "4 instances of 1 thread, batch 2",
    ]
    assert set(column(run, "optimization")) == {"script"}
    assert column(run, "inferences/s") == ["111", "167", "200", "222"]
    assert [text.split()[0] for text in column(run, "predicted latency")] == [
        "9.00", "12.0", "20.0", "36.0",
    ]  # fmt: skip
    assert set(column(run, "fastest predicted")) == {"the same"}
    assert [text.partition(" (")[0] for text in column(run, "over fat")] == [
        "is fat", "1.17x", "1.30x", "1.67x",
    ]  # fmt: skip
    assert [text.partition(" (")[0] for text in column(run, "over thin")] == [
        "2.22x", "1.67x", "about the same, 1.00x", "is thin",
    ]  # fmt: skip
    assert set(column(run, "verified")) == {"no"}


def test_a_verified_line_has_the_verdict_and_the_latency_and_error_of_what_is_to_be_run() -> None:
    run = proven()
    assert column(run, "verified") == [
        "no", "refuted: fat was faster", "too close to call", "confirmed",
    ]  # fmt: skip
    assert [text.partition(" (")[0] for text in column(run, "measured latency")] == [
        "", "14.0 ms", "25.0 ms", "36.0 ms",
    ]  # fmt: skip
    assert column(run, "prediction error") == ["", "+0.0 %", "-20.0 %", "+0.0 %"]


def test_what_was_proven_faster_is_what_is_to_be_run() -> None:
    found = lines(proven())["2"]
    assert found["run"] == "1 instance of 4 threads, batch 2"
    assert found["fastest predicted"] == "2 instances of 2 threads, batch 1"


def test_a_split_that_is_too_close_to_call_is_not_what_is_to_be_run() -> None:
    run = hand_run(noise=0.1)
    found = lines(run)["2"]
    assert found["run"] == "1 instance of 4 threads, batch 2"
    assert found["fastest predicted"] == "2 instances of 2 threads, batch 1"
    assert found["over fat"].startswith("too close to call, 1.17x")
    assert "split and fat are too close to call" in figure(run, "split-speedup").finding


def test_the_newest_verification_of_a_split_counts() -> None:
    run = hand_run()
    slow = verified(plan_of(run, 8), {"split": 3.0, "fat": 1.0}, at=5.0, spread=0.0)
    again = verified(plan_of(run, 8), {"split": 1.0, "fat": 1.0}, at=9.0, spread=0.0)
    assert lines(with_proofs(run, slow))["8"]["verified"] == "refuted: fat was faster"
    assert lines(with_proofs(run, slow, again))["8"]["verified"] == "confirmed"
    assert len(marks(with_proofs(run, slow, again), "split-prediction")) == 2


def test_a_verification_of_another_split_is_not_that_of_the_plan() -> None:
    run = hand_run()
    (first, *rest) = verified(plan_of(run, 8), {"split": 1.0, "fat": 1.0})
    others = [msgspec.structs.replace(each, cores=2) for each in (first, *rest)]
    assert lines(with_proofs(run, others))["8"]["verified"] == "no"


def test_a_batch_that_was_verified_has_a_line_though_it_was_not_measured() -> None:
    run = hand_run()
    three = verified(plan_of(run, 3), {"split": 1.0, "thin": 1.0, "fat": 1.0})
    assert [line[0] for line in table(with_proofs(run, three))] == ["1", "2", "3", "4", "8"]


def test_a_verified_split_of_interpolated_batches_is_the_line_of_its_batch() -> None:
    run = hand_run()
    (profile,) = profiles_of(run)
    made = plan(interpolated(profile, 6), 4, 6)
    assert made is not None
    same: dict[Configuration, float] = {"split": 1.0, "fat": 1.0, "thin": 1.0}
    proof, plain = verified(made, same), verified(plan_of(run, 6), same, at=2.0)
    for proofs in ([proof], [proof, plain]):
        line = lines(with_proofs(run, *proofs))["6"]
        assert line["run"] == "2 instances of 2 threads, batch 3"
        assert line["over fat"].endswith(", interpolated")
        assert line["doubts"] == "interpolated"
        assert line["verified"] == "confirmed"
    assert lines(with_proofs(run, plain))["6"]["fastest predicted"] == "the same"


def test_what_was_verified_of_another_optimization_has_a_block_of_its_own() -> None:
    run = formula_run(4, (1, 2, 4, 8))
    same: dict[Configuration, float] = {"split": 1.0, "fat": 1.0, "thin": 1.0}
    script = verified(plan_of(run, 8), same)
    none = verified(plan_of(run, 4, "none"), same, at=2.0)
    heading = "Best Split Per Batch, none"
    with_both = with_proofs(run, script, none)
    own = block(with_both, heading)
    assert [(line.texts[0], line.texts[2], line.texts[9]) for line in own.tables[0].lines] == [
        ("1", "none", "no"), ("2", "none", "no"), ("4", "none", "confirmed"), ("8", "none", "no"),
    ]  # fmt: skip
    assert own.note.startswith("The largest gain over fat is at batch 4 with none.")
    assert column(with_both, "verified") == ["no", "no", "no", "confirmed"]
    assert split_figures(with_both) == [
        "split-cores", "split-speedup", "split-cores-none", "split-speedup-none",
        "split-prediction",
    ]  # fmt: skip
    assert figure(with_both, "split-speedup-none").title.endswith("4 cores, none")
    assert heading not in [each.heading for each in section(with_proofs(run, script)).blocks]


def test_a_verification_on_fewer_cores_repeats_no_block_and_tells_its_verdict() -> None:
    run = hand_run()
    same: dict[Configuration, float] = {"split": 1.0, "fat": 1.0, "thin": 1.0}
    (profile,) = profiles_of(run)
    made = plan(profile, 2, 4)
    assert made is not None
    both = with_proofs(run, verified(plan_of(run, 8), same), verified(made, same, at=2.0))
    assert [each.heading for each in section(both).blocks] == [
        "Best Split Per Batch", "Predicted and Measured",
    ]  # fmt: skip
    told = {
        (mark["batch"], mark["cores"], mark["verdict"]) for mark in marks(both, "split-prediction")
    }
    assert told == {("8", "4", "confirmed"), ("4", "2", "confirmed")}


def test_without_a_cell_of_all_cores_there_is_nothing_to_be_faster_than() -> None:
    run = hand_run(missing=[place for place in HAND if place[0] == 4])
    assert set(column(run, "over fat")) == {"-"}
    assert {point.name for point in speedup_points(choices_of(RunView(run)))} == {"thin"}
    assert "for batch 8 with script, the run has no cell of 4 threads and batch 8 to" in note(run)
    assert not [fact for fact in document_of(run).facts if "plit" in fact.label]


def test_a_batch_without_fat_breaks_the_line() -> None:
    run = hand_run()
    lonely = (*run.measurements, exact("none", 3, 4, 5))
    choices = choices_of(RunView(msgspec.structs.replace(run, measurements=lonely)))
    assert choices[2].plan.fat is None
    points = speedup_points(choices)
    assert [(point.batch, point.stretch) for point in points if point.name == "fat"] == [
        (1, 0),
        (2, 0),
        (8, 1),
    ]


def test_fat_between_measured_batches_competes_and_is_drawn_hollow() -> None:
    run = hand_run(missing=[(4, 4), *(place for place in HAND if place[0] == 2), (1, 1), (1, 2)])
    found = lines(run)["4"]
    assert found["run"] == "1 instance of 4 threads, batch 4"
    assert (found["over fat"], found["doubts"]) == ("is fat, interpolated", "interpolated")
    assert [choice.hollow for choice in choices_of(RunView(run))] == [False, False, True, False]
    assert "Where fat was not measured, it is interpolated between two batches." in note(run)
    fills = {mark["batch"]: mark["fill"] for mark in marks(run, "split-cores")}
    assert [batch for batch, fill in fills.items() if fill == "#ffffff"] == [4]


def test_different_instances_are_named_piece_by_piece() -> None:
    run = cells(exact("script", 1, 1, 20), exact("script", 2, 2, 20), exact("script", 4, 3, 60))
    found = lines(run)["3"]
    assert found["run"] == "1 instance of 2 threads, batch 2 + 1 instance of 1 thread, batch 1"
    assert found["doubts"] == "mixed"
    assert "copies of itself" in note(run)
    assert "instances differ in size at 1 of 3 batches" in figure(run, "split-cores").finding


def test_lossy_optimizations_do_not_compete_with_others() -> None:
    quick = [exact("int8", *place, 1.0) for place in HAND]
    lossy = Prepared(
        at=0.0, optimization="int8", threads=1, start_s=1.0, prepare_s=1.0, error=0.1,
        largest_tensor=1, facts={"lossy": "yes"},
    )  # fmt: skip
    run = hand_run()
    both = msgspec.structs.replace(
        run, measurements=(*run.measurements, *quick), journal=(*run.journal, lossy)
    )
    assert {line[2] for line in table(both)} == {"script"}
    alone = msgspec.structs.replace(both, measurements=tuple(quick))
    assert {line[2] for line in table(alone)} == {"int8"}
    assert "All optimizations of the run are lossy" in note(alone)


def test_where_losses_are_not_stated_all_optimizations_compete() -> None:
    run = msgspec.structs.replace(hand_run(), journal=())
    assert "does not state which optimizations are lossy" in note(run)


def test_the_note_tells_the_setting_and_what_the_doubts_mean() -> None:
    alone = note(measured_run())
    assert (
        " Latencies are predicted from cells measured alone; instances that run together may be "
        "slower. "
    ) in alone
    assert "Doubts: light: from one or two visits; estimated: from cells that were not" in alone
    packed = note(formula_run(packed=lambda t, b: 1.3))
    assert " Latencies are predicted from cells measured next to copies of themselves. " in packed
    assert (
        "scaled: measured alone, then slowed by up to 1.44x for the cores that others keep "
        "busy, based on 32 cells measured both ways."
    ) in packed


def test_there_is_no_section_where_nothing_can_be_split() -> None:
    for run in (
        run_of(),
        run_of(exact("none", 1, 8, 20), exact("script", 1, 8, 10)),
        cells(Measurement(cell=exact("none", 4, 8, 1).cell, verdict="failed", reason="killed")),
    ):
        assert HEADING not in [each.heading for each in document_of(run).sections]


def test_the_section_follows_the_choice() -> None:
    headings = [each.heading for each in document_of(server_run()).sections]
    assert headings[:3] == ["Choice", HEADING, "Latency (Sequential)"]
    assert document_of(hand_run()).sections[0].heading == HEADING


def test_figures_of_proofs_are_there_only_with_proofs() -> None:
    assert split_figures(hand_run()) == ["split-cores", "split-speedup"]
    assert split_figures(proven()) == ["split-cores", "split-speedup", "split-prediction"]


def test_blocks_are_as_wide_as_their_threads_and_idle_cores_are_empty() -> None:
    run = cells(exact("script", 1, 1, 20), exact("script", 2, 2, 20), exact("script", 4, 3, 60))
    drawn = [block for block in marks(run, "split-cores") if block["batch"] == 3]
    core = WIDTH / 4
    assert [(block["x0"], block["x1"]) for block in drawn] == [
        (1.0, 2 * core - 1),
        (2 * core + 1, 3 * core - 1),
    ]
    assert [block["each"] for block in drawn] == ["2 of 4 cores, batch 2", "1 of 4 cores, batch 1"]
    assert len({block["fill"] for block in drawn}) == 2
    texts = written(run, "split-cores")
    assert texts == ["3 idle", "2 idle", "1 idle", "b=1", "b=1", "b=1", "b=2", "b=1"]


def test_narrow_blocks_share_a_label_and_verdicts_stand_beside_them() -> None:
    texts = written(server_run(64), "split-cores")
    assert "64 × t=1 b=16" in texts and "b=16" not in texts
    assert texts.count("b=1") == 1 + 2 + 4 + 8 + 16
    assert texts.count("confirmed") == 4


def test_a_split_of_estimated_cells_is_drawn_hollow_and_said_to_be() -> None:
    run = cells(exact("script", 4, 1, 9), guessed("script", 4, 8, 60), guessed("script", 2, 4, 20))
    fills = {block["batch"]: block["fill"] for block in marks(run, "split-cores")}
    assert (fills[8], fills[1] == fills[8]) == ("#ffffff", False)
    assert column(run, "doubts") == ["", "estimated", "estimated"]
    points = {
        p.batch: p.hollow for p in speedup_points(choices_of(RunView(run))) if p.name == "fat"
    }
    assert points == {1: False, 4: True, 8: True}
    assert "estimated" in document_of(run).facts[0].note


def test_expected_and_actual_speedups_are_drawn_for_each_rival() -> None:
    drawn = [
        (mark["over"].split(":")[0], mark["batch"], mark["y"], mark["kind"])
        for mark in marks(proven(), "split-speedup")
    ]
    assert drawn == [
        ("thin", "1", 2.2222, "circle"),
        ("thin", "2", 1.6667, "circle"),
        ("thin", "2", 1.1111, "square"),
        ("thin", "4", 1.0, "circle"),
        ("thin", "4", 1.04, "square"),
        ("thin", "8", 1.0, "circle"),
        ("fat", "1", 1.0, "circle"),
        ("fat", "2", 1.1667, "circle"),
        ("fat", "2", 0.77778, "cross"),
        ("fat", "4", 1.3, "circle"),
        ("fat", "4", 1.04, "diamond"),
        ("fat", "8", 1.6667, "circle"),
        ("fat", "8", 1.5, "square"),
    ]


def test_measured_over_predicted_is_drawn_of_everything_that_was_run() -> None:
    drawn = [
        (mark["batch"], mark["configuration"], mark["y"], mark["prediction error"])
        for mark in marks(proven(), "split-prediction")
        if mark["batch"] != "4"
    ]
    assert drawn == [
        ("2", "split", 1.5, "-33.3 %"),
        ("2", "fat", 1.0, "+0.0 %"),
        ("2", "thin", 1.0, "+0.0 %"),
        ("8", "split", 1.0, "+0.0 %"),
        ("8", "fat", 0.9, "+11.1 %"),
    ]


def test_proofs_of_several_optimizations_have_shapes_that_a_key_names() -> None:
    run = formula_run(4, (1, 2, 4, 8))
    same: dict[Configuration, float] = {"split": 1.0, "fat": 1.0, "thin": 1.0}
    proofs = [
        verified(plan_of(run, 8, name), same, at=at) for at, name in enumerate(("script", "none"))
    ]
    drawn = marks(with_proofs(run, *proofs), "split-prediction")
    shapes = {(mark["optimization"], mark["kind"]) for mark in drawn}
    assert shapes == {("script", "circle"), ("none", "square")}
    places = [mark["b"] for mark in drawn]
    assert len(set(places)) == len(places)
    names = written(with_proofs(run, *proofs), "split-prediction")
    assert {"script", "none"} <= set(names)
    assert "script" not in written(with_proofs(run, proofs[0]), "split-prediction")


def test_a_sentence_above_every_figure_tells_what_it_shows() -> None:
    run = proven()
    assert figure(run, "split-cores").finding.endswith(
        "run 1 instance of 4 threads at batch 1, and 4 instances of 1 thread at batch 8."
    )
    speedups = figure(run, "split-speedup").finding
    assert "up to 1.50x as fast as one instance on all 4 cores (batch 8, measured)" in speedups
    assert "at batches 1 and 2 fat is the fastest" in speedups
    assert "Verified by running: 1 confirmed, 1 too close to call and 1 refuted" in speedups
    assert "faster: fat at batch 2" in speedups
    predictions = figure(run, "split-prediction").finding
    assert predictions.startswith("4 of 8 measured medians lie inside")
    assert "is 5.6 %, the largest 33.3 % (split at batch 2, predicted fast" in predictions
    plain = figure(hand_run(), "split-speedup").finding
    assert "up to 1.67x as fast as one instance on all 4 cores (batch 8, predicted)" in plain
    assert "None of these splits has been verified" in plain


def test_the_note_explains_where_the_largest_gain_comes_from() -> None:
    told = note(hand_run())
    assert told.startswith("The largest gain over fat is at batch 8 with script. An input costs")
    assert "1 thread an instance instead of 4 saves 38 %" in told


def test_the_fact_names_the_split_of_the_largest_gain_and_its_proof() -> None:
    plain, *_ = document_of(hand_run()).facts
    assert (plain.label, plain.value) == ("Split for batch 8", "4 × 1 thread, batch 2")
    assert "predicted 1.67x (1.66x to 1.67x) as fast as one instance on all 4" in plain.note
    assert plain.note.endswith("from cells measured alone; not verified")
    found, *_ = document_of(proven()).facts
    assert found.note.endswith("; measured 1.50x, confirmed")


def test_a_gain_that_was_proven_comes_before_a_larger_one_that_is_only_predicted() -> None:
    run = hand_run()
    proof = verified(plan_of(run, 4), {"split": 1.0, "fat": 1.0, "thin": 1.2})
    assert document_of(with_proofs(run, proof)).facts[0].label == "Split for batch 4"


def test_a_gain_that_the_cores_cannot_give_is_no_fact() -> None:
    run = cells(exact("script", 1, 2, 10), exact("script", 4, 8, 50))
    assert document_of(run).facts[0].value == "one instance"
    assert "than 4 cores can give" in note(run)


def test_where_nothing_is_shown_the_fact_names_the_command_that_would() -> None:
    run = hand_run(noise=0.25)
    fact, *_ = document_of(run).facts
    assert (fact.label, fact.value) == ("Best split", "one instance")
    assert "no split is shown to be faster than one instance on all 4 cores" in fact.note
    assert f"coresplit plan {run.name} --batch 8 --verify" in fact.note


def test_a_refuted_split_is_no_fact_while_another_gains() -> None:
    run = hand_run()
    refuted = verified(plan_of(run, 8), {"split": 3.0, "fat": 1.0}, spread=0.0)
    assert document_of(with_proofs(run, refuted)).facts[0].label == "Split for batch 4"


def test_where_no_split_gains_the_fact_says_so() -> None:
    run = cells(exact("script", 1, 1, 10), exact("script", 4, 1, 3))
    fact, *_ = document_of(run).facts
    assert (fact.label, fact.value) == ("Best split", "one instance")
    assert "--verify" not in fact.note
    assert note(run).startswith("No gain over fat is shown; for batch 1 with script, no split is")


def test_both_pages_hold_the_section_and_its_table() -> None:
    run = proven()
    document = document_of(run)
    page, text = (
        html_page(document, pictures=False),
        markdown_page(document, lambda figure: True),
    )
    assert f"<h2>{HEADING}</h2>" in page and f"\n# {HEADING}\n" in text
    for line in table(run):
        for cell in line:
            assert f">{cell}</td>" in page.replace("&#43;", "+") and f"<td>{cell}</td>" in text
    assert "tiny-split-prediction.png" in text


@pytest.mark.parametrize("run", [proven(), server_run(2), server_run(16), server_run(64)])
def test_every_figure_keeps_to_the_schema_and_is_a_picture(run: Run) -> None:
    document = document_of(run)
    drawn = [each for part in section(run).blocks for each in part.figures]
    assert len(drawn) == 3
    for each in drawn:
        altair.LayerChart.from_dict({**complete(each, document.chart_points), "config": config()})
        with Image.open(BytesIO(picture(each, document.chart_points))) as image:
            assert image.size == (2 * TOTAL[0], 2 * TOTAL[1])


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables do not lie here")
def test_the_published_tables_of_16_cores_are_split_as_the_solver_says() -> None:
    path = PUBLISHED / "inception-xeon6142-16c-isolated-latency.csv"
    found = lines(store.import_tables([path], created_at=0.0))
    assert list(found) == [str(2**n) for n in range(11)]
    line = found["64"]
    assert line["run"] == "16 instances of 1 thread, batch 4"
    assert (line["optimization"], line["inferences/s"]) == ("script with interleave", "313")
    assert line["predicted latency"].startswith("204 ms")
    assert line["over fat"].startswith("2.05x")
    assert line["over thin"] == "is thin"
