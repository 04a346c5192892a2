"""The comparison of servers: what its rounds show, the table and the page. No server is started."""

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from compared import Comparison, LoadName, Row, Turn, rows_of, together
from comparison_page import html_of, page_of, write
from comparison_words import lines_of, standing_text
from comparisons import GROUPS, LOADS, OWN, RATES, a_comparison, served
from load import Wrong
from sending import apart, described, outputs_of, requests_of

from coresplit.loading.protocols.bodies import ModelMetadata, Tensor
from coresplit.stats.difference import Relation

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "comparison"
BERT = ModelMetadata(
    name="bert",
    inputs=(
        Tensor(name="input_ids", datatype="INT64", shape=(-1, 128)),
        Tensor(name="attention_mask", datatype="INT64", shape=(-1, 128)),
    ),
    outputs=(
        Tensor(name="state", datatype="FP32", shape=(-1, 2, 3)),
        Tensor(name="pooled", datatype="FP32", shape=(-1, 4)),
    ),
)


def rows(comparison: Comparison, load: LoadName = "saturating") -> dict[str, Row]:
    return {row.server.label: row for row in rows_of(comparison)[load]}


def replaced(comparison: Comparison, **changes: object) -> Comparison:
    """With other turns where ``turns`` is a function of each."""
    return msgspec.structs.replace(comparison, **changes)


@pytest.mark.parametrize(
    ("label", "relation"),
    [("twin", "equivalent"), ("half", "faster"), ("double", "slower"), ("wild", "unclear")],
)
def test_a_difference_is_named_where_the_rounds_show_it_and_nowhere_else(
    label: str, relation: Relation
) -> None:
    comparison = a_comparison()
    for load in LOADS:
        assert rows(comparison, load)[label].standings["p50"].relation == relation
    assert rows(comparison)[label].standings["throughput"].relation == relation


def test_ratios_are_taken_within_rounds_so_that_a_drift_of_the_machine_cancels() -> None:
    # rates fall to a ninth from the first round of the first group to the last of the second
    standing = rows(a_comparison())["half"].standings["throughput"]
    assert standing.ratio == pytest.approx(2.0, rel=0.01)
    assert standing.low > 1.9
    assert standing.high < 2.1


def test_a_round_of_another_group_is_no_partner() -> None:
    found = a_comparison()
    first_alone = [turn for turn in found.turns if turn.server != OWN or turn.group == 0]
    rest = rows(replaced(found, turns=tuple(first_alone)))
    assert rest["half"].standings
    assert rest["double"].standings == {}


def test_servers_that_are_measured_later_are_compared_with_coresplit_of_that_time() -> None:
    first, second = (a_comparison(groups=(group,)) for group in GROUPS)
    whole = together(first, second)
    assert [each.label for each in whole.servers] == list(RATES)
    assert whole.groups() == 2
    found, apart_ = rows(whole), {**rows(first), **rows(second)}
    for label in ("half", "double"):
        assert found[label].standings["p50"].ratio == apart_[label].standings["p50"].ratio
    assert dict(whole.about) == dict(first.about)


def test_nothing_is_said_of_two_rounds() -> None:
    comparison = a_comparison(rounds=2)
    assert all(row.standings == {} for row in rows(comparison).values())
    assert any("fewer than 3 rounds, nothing is said" in line for line in lines_of(comparison))
    assert page_of([comparison]).warnings == ("Inception v3: 2 rounds are too few to compare",)
    assert page_of([comparison]).charts == (("Inception v3", ()),)


def test_rounds_in_which_the_client_was_the_limit_are_not_compared() -> None:
    def limited(turn: Turn) -> Turn:
        slow = turn.server == "half" and turn.round > 1
        return msgspec.structs.replace(turn, limit="cpu") if slow else turn

    found = a_comparison()
    assert rows(replaced(found, turns=tuple(map(limited, found.turns))))["half"].standings == {}


def test_the_99th_percentile_is_of_all_rounds_and_needs_a_hundred_requests() -> None:
    few = rows(a_comparison(rounds=3, answered=10))["half"]
    assert few.p99 is None
    enough = rows(a_comparison(rounds=3, answered=50))["half"]
    # the slowest of three rounds has the last third of all requests
    slowest = 3 / RATES["half"]
    assert enough.p99 == pytest.approx(slowest * 0.97, rel=0.02)


def test_servers_are_ranked_by_throughput_under_saturating_load_and_by_latency_else() -> None:
    for load, found in rows_of(a_comparison()).items():
        labels = [row.server.label for row in found]
        assert labels.index("double") < labels.index("twin") < labels.index("half"), load


def test_losses_are_told_as_plainly_as_wins() -> None:
    lines = list(lines_of(a_comparison()))
    said = next(line for line in lines if line.startswith("throughput: coresplit is"))
    assert "better than 1 (half)" in said
    assert "worse than 1 (double)" in said
    assert "equal within 3 % to 1 (twin)" in said
    assert "too close to call against 1 (wild)" in said
    standings = {label: row.standings for label, row in rows(a_comparison()).items()}
    won, lost = (standing_text(standings[each]["throughput"]) for each in ("half", "double"))
    assert re.fullmatch(r"(2\.0|1\.9)\dx better \((2\.0|1\.9)\dx to 2\.0\dx\)", won)
    assert re.fullmatch(r"(2\.0|1\.9)\dx worse \((2\.0|1\.9)\dx to 2\.0\dx\)", lost)


def test_the_table_has_a_line_for_every_server_under_every_load() -> None:
    lines = list(lines_of(a_comparison()))
    for label in RATES:
        assert sum(line.startswith(f"{label}  ") for line in lines) == len(LOADS)


class Loaded(HTMLParser):
    """Everything that a page would fetch, and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.marks: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [str(given[name]) for name in ("src", "href") if name in given]
        if tag == "g":
            self.marks.append(str(given["class"]))


def test_the_page_fetches_nothing_and_marks_every_server_in_every_chart() -> None:
    page = Loaded(html_of([a_comparison(), a_comparison(title="ResNet-50")]))
    assert [each for each in page.fetched if not each.startswith(("#", "data:,"))] == []
    # all of them need the same memory
    one = ["equivalent", "faster", "slower", "unclear"] * len(LOADS) + ["equivalent"] * 4
    assert sorted(page.marks) == sorted(one * 2)


def test_what_is_right_of_one_is_what_coresplit_does_better() -> None:
    ((_, charts),) = page_of([a_comparison()]).charts
    *ranked, memory = charts
    assert "memory" in memory.title
    for chart in ranked:
        at = {mark.label: mark for mark in chart.marks}
        assert at["double"].x < chart.one < at["half"].x
        assert all(mark.low <= mark.x <= mark.high for mark in chart.marks)


def test_names_on_the_page_are_text_and_no_markup() -> None:
    assert "<b>Net</b>" not in html_of([a_comparison(title="<b>Net</b>")])
    assert "&lt;b&gt;Net&lt;/b&gt;" in html_of([a_comparison(title="<b>Net</b>")])


def test_the_page_is_made_anew_of_the_results_in_a_folder(tmp_path: Path) -> None:
    for name in ("Inception v3", "ResNet-50"):
        found = msgspec.json.encode(a_comparison(title=name))
        (tmp_path / f"{name}.json").write_bytes(found)
    page, text = write(tmp_path)
    for name in ("Inception v3", "ResNet-50"):
        assert name in page.read_text()
        assert name in text.read_text()


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*.json")), ids=lambda file: file.stem)
def test_the_committed_table_is_that_of_the_committed_results(file: Path) -> None:
    comparison = msgspec.json.decode(file.read_bytes(), type=Comparison)
    assert "\n".join(lines_of(comparison)) in (RESULTS / "comparison.txt").read_text()


def test_every_server_is_sent_the_same_numbers() -> None:
    sent = requests_of(BERT)
    raw = sent["raw"].body
    length = int(dict(sent["infer"].headers)["Inference-Header-Content-Length"])
    assert sent["infer"].body[length:] == raw
    told = msgspec.json.decode(sent["infer"].body[:length])
    assert [each["parameters"]["binary_data_size"] for each in told["inputs"]] == [1024, 1024]
    tokens, mask = served.rows_of(raw, served.tensors(described(BERT.inputs)))
    assert tokens.shape == mask.shape == (1, 128)
    assert tokens.dtype == np.int64
    assert len(set(tokens[0].tolist())) > 10
    assert set(mask[0].tolist()) == {1}


def test_outputs_are_the_last_bytes_of_an_answer() -> None:
    state, pooled = np.arange(6, dtype=np.float32), np.arange(4, dtype=np.float32)
    found = outputs_of(b'{"outputs": []}' + state.tobytes() + pooled.tobytes(), BERT.outputs)
    assert apart([state, pooled], found) == 0.0
    assert apart([state, pooled], [state, pooled * 1.5]) == pytest.approx(0.5)
    with pytest.raises(Wrong, match="39 bytes for 40"):
        outputs_of(bytes(39), BERT.outputs)


def test_requests_that_a_peer_joins_come_apart_as_they_were() -> None:
    inputs = served.tensors("ids:INT64:3,image:FP32:2x2")
    bodies = [
        np.arange(3 * count, dtype=np.int64).tobytes()
        + np.arange(4 * count, dtype=np.float32).tobytes()
        for count in (1, 2)
    ]
    requests = [served.rows_of(body, inputs) for body in bodies]
    together = served.joined(requests)
    assert [each.shape for each in together] == [(3, 3), (3, 2, 2)]
    assert [served.bytes_of(each) for each in served.parted(together, [1, 2])] == bodies
