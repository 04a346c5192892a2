import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from report_many import many_run
from report_runs import all_verdicts, published_run

from coresplit.records import Run
from coresplit.reports import build
from coresplit.reports.compose import document_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
]
RUNS = {
    "published": published_run(16, ("sequential", "interleave")),
    "verdicts": all_verdicts(),
    "many": many_run(batches=(1, 8, 64, 512), allocators=("default", "tcmalloc")),
}

pytestmark = [
    pytest.mark.browser,
    # where CORESPLIT_REQUIRE_BROWSER is set, a missing browser is a failure
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CORESPLIT_REQUIRE_BROWSER"),
        reason="no chromium on PATH; install the Debian package",
    ),
]


class Visit:
    """An opened page and everything it complained about or asked for."""

    def __init__(self, browser: Browser, index: Path) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": 1400, "height": 900})
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(index.as_uri())

    def scroll_through(self) -> None:
        charts = self.page.locator(".chart")
        for place in range(charts.count()):
            # scrolling of Playwright waits for frames, which a busy browser may withhold
            charts.nth(place).evaluate("one => one.scrollIntoView()")
            charts.nth(place).locator("svg").wait_for(state="attached", timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module", params=RUNS)
def visit(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Run, Visit]]:
    run = RUNS[request.param]
    index = build(run, tmp_path_factory.mktemp(request.param), frozenset({"html"}))
    seen = Visit(browser, index)
    yield run, seen
    # an open page goes on drawing beside the next one
    seen.page.close()


def test_charts_are_drawn_when_they_come_into_view(visit: tuple[Run, Visit]) -> None:
    run, seen = visit
    figures = list(document_of(run).figures)
    assert seen.page.locator(".chart").count() == len(figures)
    assert seen.page.locator(".chart svg").count() < len(figures)
    seen.scroll_through()
    sizes = seen.page.locator(".chart svg").evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().width, "
        "one.getBoundingClientRect().height, one.querySelectorAll('path').length])"
    )
    assert len(sizes) == len(figures)
    assert all(width > 300 and height > 150 and paths > 3 for width, height, paths in sizes)


def test_the_page_asks_nothing_of_a_network_and_complains_of_nothing(
    visit: tuple[Run, Visit],
) -> None:
    _, seen = visit
    seen.scroll_through()
    assert seen.complaints == []
    assert [url for url in seen.requests if not re.match("(file|data|blob):", url)] == []


def test_sections_stand_in_order(visit: tuple[Run, Visit]) -> None:
    run, seen = visit
    expected = []
    for section in document_of(run).sections:
        expected += [section.heading, *(block.heading for block in section.blocks)]
    found = seen.page.locator("section[id^=section-] :is(h2, h3)").all_inner_texts()
    assert found == expected


def test_figures_do_not_overflow_the_page(visit: tuple[Run, Visit]) -> None:
    _, seen = visit
    for width in (390, 1400):
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_tooltip_tells_the_cell_and_why_it_is_estimated(browser: Browser, tmp_path: Path) -> None:
    seen = Visit(browser, build(all_verdicts(), tmp_path, frozenset({"html"})))
    chart = seen.page.locator("#inception-latency-512 .chart")
    chart.scroll_into_view_if_needed()
    points = chart.locator("svg g.mark-symbol path")
    points.first.wait_for()
    points.first.hover(force=True)
    tooltip = seen.page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    texts = tooltip.locator("td").all_inner_texts()
    told = dict(zip(texts[::2], texts[1::2], strict=True))
    assert told["batch"] == "512"
    assert told["verdict"] == "estimated"
    assert told["reason"] == "out of reach of the budget; from batches 64 to 256"
    assert re.fullmatch(r"[\d,.]+ to [\d,.]+ \(estimate\)", told["interval"])


def test_a_click_on_a_heading_sorts_the_cells_by_number(browser: Browser, tmp_path: Path) -> None:
    seen = Visit(browser, build(all_verdicts(), tmp_path, frozenset({"html"})))
    head = seen.page.locator("#cells").get_by_role("button", name="latency")
    head.click()
    cells = seen.page.locator("#cells tbody tr td:nth-child(6)")
    assert cells.first.inner_text() == "34.9 ms"
    head.click()
    assert next(text for text in cells.all_inner_texts() if text) == "74.6 s"
    assert seen.complaints == []


def test_cells_can_be_chosen_by_their_first_columns(browser: Browser, tmp_path: Path) -> None:
    run = many_run(batches=(1, 8), allocators=("default", "tcmalloc"))
    seen = Visit(browser, build(run, tmp_path, frozenset({"html"})))
    seen.page.locator("#cells summary").click()
    bar = seen.page.locator("#cells .choose")
    assert bar.locator("label").all_inner_texts()[0].startswith("optimization")
    bar.get_by_label("optimization").select_option("int8")
    bar.get_by_label("placement").select_option("tcmalloc")
    rows = seen.page.locator("#cells tbody tr:visible")
    assert rows.count() == 4
    texts = rows.locator("td:nth-child(1), td:nth-child(4)").all_inner_texts()
    assert set(texts) == {"int8", "tcmalloc"}
    assert bar.locator("span").inner_text() == "4 of 80 shown"
    bar.get_by_label("optimization").select_option("all")
    assert rows.count() == 40
    assert seen.complaints == []
