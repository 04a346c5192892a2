"""The page of a load in Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from load_results import a_run, of_run, of_search, of_two
from playwright.sync_api import Browser
from test_report_browser import Visit, browser, pytestmark  # noqa: F401 (the same browser)

from coresplit.records.load import LoadResult
from coresplit.reports.loads.compose import load_document
from coresplit.workflows.loading.writing import write_load

RESULTS = {"run": of_run(a_run(failed=8)), "comparison": of_two(), "search": of_search()}


@pytest.fixture(scope="module", params=RESULTS)
def visited(
    request: pytest.FixtureRequest,
    browser: Browser,  # noqa: F811 (the fixture)
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[LoadResult, Visit]]:
    result = RESULTS[request.param]
    seen = Visit(browser, write_load(result, tmp_path_factory.mktemp(request.param)))
    yield result, seen
    seen.page.close()


def test_every_figure_is_drawn_and_nothing_complains(visited: tuple[LoadResult, Visit]) -> None:
    result, seen = visited
    seen.scroll_through()
    sizes = seen.page.locator(".chart svg").evaluate_all(
        "all => all.map(one => [one.getBoundingClientRect().width, "
        "one.querySelectorAll('path').length])"
    )
    assert len(sizes) == len(load_document(result).figures)
    assert all(width > 300 and paths > 3 for width, paths in sizes)
    assert seen.complaints == []
    assert [url for url in seen.requests if not re.match("(file|data|blob):", url)] == []


def test_the_page_fits_a_phone_and_a_screen(visited: tuple[LoadResult, Visit]) -> None:
    _, seen = visited
    for width in (390, 1400):
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_sections_and_facts_are_there(visited: tuple[LoadResult, Visit]) -> None:
    result, seen = visited
    document = load_document(result)
    headings = [s.heading for s in document.sections]
    assert seen.page.locator("section[id^=section-] h2").all_inner_texts() == headings
    labels = seen.page.locator(".fact .label").all_inner_texts()
    assert labels == [fact.label for fact in document.facts]


def test_the_split_stands_in_the_timeline(browser: Browser, tmp_path: Path) -> None:  # noqa: F811
    seen = Visit(browser, write_load(of_run(a_run()), tmp_path))
    seen.scroll_through()
    texts = seen.page.locator("#run-latency svg text").all_text_contents()
    assert "2 instances" in texts
    assert "1 wide + 2 narrow" in texts
    seen.page.close()
