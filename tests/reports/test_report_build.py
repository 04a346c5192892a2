import html.parser
import json
import re
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from PIL import Image
from report_runs import all_verdicts, exact, measured_run, published_run, run_of

from coresplit.charts.figure import file_name
from coresplit.charts.render import javascript, library
from coresplit.charts.theme import TOTAL
from coresplit.errors import EnvironmentFault, StorageError, UsageError
from coresplit.records import Cell, Measurement, ModelInfo, Run
from coresplit.reports import build
from coresplit.reports.compose import document_of
from coresplit.reports.pages.html import html_page
from coresplit.reports.pages.markdown import markdown_page

HOSTILE = '<script>alert("x")</script>{{ 1 }}|`*'
PAGES = frozenset({"html", "markdown"})
PER_BATCH = [2**n for n in range(11)]
PUBLISHED_PAGE = [
    "# Latency (Sequential)",
    "## Latency Per Batch",
    *(f"inception-latency-{batch}.png" for batch in PER_BATCH),
    "## Latency Per Optimization",
    "inception-latency-none.png",
    "inception-latency-script.png",
    "# Throughput (Sequential)",
    "## Throughput Per Batch",
    *(f"inception-throughput-{batch}.png" for batch in PER_BATCH),
    "## Throughput Per Optimization",
    "inception-throughput-none.png",
    "inception-throughput-script.png",
    "## Speedup",
    "inception-throughput-speedup-script.png",
    "## Throughput Per Batch",
    "inception-throughput-script-perBS.png",
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "report"
    assert build(published_run(4), out) == out / "index.html"
    return out


class _Texts(html.parser.HTMLParser):
    """Collects elements and the texts outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] not in ("script", "style"):
            self.texts.append(data)


def hostile_run() -> Run:
    drawn = Cell(optimization=HOSTILE, threads=1, batch=1)
    failed = Cell(optimization=HOSTILE, threads=1, batch=2)
    run = run_of(
        Measurement(cell=drawn, verdict="unstable", reason=HOSTILE, samples=(0.01,) * 8),
        Measurement(cell=failed, verdict="failed", reason=HOSTILE),
    )
    return msgspec.structs.replace(
        run,
        model=ModelInfo(name=f"../{HOSTILE}", title=HOSTILE, weights=HOSTILE),
        software={HOSTILE: HOSTILE},
        warnings=(HOSTILE,),
        name=HOSTILE,
    )


def test_all_28_published_pictures_are_made_and_are_pictures(published: Path) -> None:
    names = [line for line in PUBLISHED_PAGE if line.endswith(".png")]
    assert len(names) == 28
    for name in names:
        with Image.open(BytesIO((published / name).read_bytes())) as picture:
            picture.load()
            assert picture.size == (2 * TOTAL[0], 2 * TOTAL[1])
            colours = picture.convert("RGB").getcolors(1 << 20)
            assert colours is not None and len(colours) > 100


def test_the_markdown_page_has_the_headings_and_pictures_of_the_published_one(
    published: Path,
) -> None:
    page = (published / "index.markdown").read_text("utf-8")
    assert page.startswith('---\nlayout: scalebench\ntitle:  "Inception"\n---\n')
    outline = re.findall(r'^#+ .*|(?<=src="\./)[^"]+', page, re.M)
    first = outline.index("# Latency (Sequential)")
    assert outline[0] == "# Choice"
    assert outline[first : first + len(PUBLISHED_PAGE)] == PUBLISHED_PAGE


def test_every_link_of_the_markdown_page_leads_to_a_file(published: Path) -> None:
    links = _Texts((published / "index.markdown").read_text("utf-8")).links
    assert len(links) == 36
    assert all((published / link).is_file() for link in links)


def test_pictures_are_described_by_what_they_show(published: Path) -> None:
    page = (published / "index.markdown").read_text("utf-8")
    for name, alt in (
        ("latency-1", "Inception Latency BS=1"),
        ("latency-none", "Inception Latency Opt=None"),
        ("throughput-script", "Inception Throughput Opt=Script"),
        ("throughput-speedup-script", "Inception Throughput Speedup Opt=Script"),
        ("throughput-script-perBS", "Inception Throughput per BS Opt=Script"),
    ):
        assert f'<img src="./inception-{name}.png" alt="{alt}" width="100%"/>' in page


def test_a_sentence_stands_above_every_picture() -> None:
    document = document_of(published_run(4))
    page = markdown_page(document, lambda figure: True)
    for figure in document.figures:
        shown = f'<p>{figure.finding}</p>\n\n<p float="left">\n<img src="./{figure.name}.png"'
        assert shown in page


def test_without_pictures_no_page_links_to_one(tmp_path: Path) -> None:
    build(measured_run((1, 2), (1, 2)), tmp_path, PAGES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "index.markdown"]
    for name in ("index.html", "index.markdown"):
        assert ".png" not in "".join(_Texts((tmp_path / name).read_text("utf-8")).links)


def test_the_page_links_only_to_itself_and_its_pictures(published: Path) -> None:
    page = _Texts((published / "index.html").read_text("utf-8"))
    for link in page.links:
        assert link.startswith(("#", "./", "data:")), link
        if link.startswith("./"):
            assert (published / link).is_file()


def test_hostile_text_of_a_run_stays_text_in_both_pages() -> None:
    run = hostile_run()
    document = document_of(run)
    page = html_page(document, pictures=True)
    assert HOSTILE not in page and '<script>alert("x")' not in page
    assert _Texts(page).tags.count("script") == 3
    assert HOSTILE in _Texts(page).texts
    text = markdown_page(document, lambda figure: True)
    body = text.split("---\n", 2)[2]
    assert "<script" not in body and "{{" not in body
    assert _Texts(body).tags.count("script") == 0


def test_no_text_of_a_run_can_end_the_element_that_holds_its_data() -> None:
    run = hostile_run()
    page = html_page(document_of(run), pictures=True)
    (data,) = re.findall(r'id="data">(.*?)</script>', page, re.S)
    assert not set("<>&") & set(data)
    assert HOSTILE in json.loads(data)["points"][0]


def test_hostile_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    build(hostile_run(), out)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 7
    assert all(path.parent == out for path in written)
    assert all(file_name(path.name) == path.name for path in written)


def test_the_title_of_a_run_stays_one_line_of_front_matter() -> None:
    run = run_of(exact("none", 1, 1, 10))
    run = msgspec.structs.replace(run, model=ModelInfo(name="m", title='a"\n---\nb'))
    page = markdown_page(document_of(run), lambda figure: False)
    assert page.splitlines()[:4] == [
        "---",
        "layout: scalebench",
        'title:  "a\\"\\n---\\nb"',
        "---",
    ]


def test_what_an_imported_run_does_not_know_is_said(published: Path) -> None:
    page = " ".join(_Texts((published / "index.html").read_text("utf-8")).texts)
    assert re.search(r"Machine\s+not stated", page)
    assert re.search(r"Noise floor\s+unknown", page)
    assert "2.5 % per visit is assumed" in page
    assert "the published mean, with the published minimum and maximum" in page
    assert "Evidence" not in page


def test_cells_that_are_not_drawn_stand_in_both_pages_with_their_reason() -> None:
    run = all_verdicts()
    document = document_of(run)
    page = " ".join(_Texts(html_page(document, pictures=False)).texts)
    text = markdown_page(document, lambda figure: False)
    for reason in ("would need 30.1 GiB, 22.9 GiB are free", "throttled in 4 of 20 periods"):
        assert reason in page and reason in text
    assert "44 cells: 22 measured, 12 light, 1 unstable, 6 estimated, 1 invalid" in page


def test_the_table_of_every_cell_holds_the_evidence() -> None:
    run = measured_run((1,), (8,), ("none",))
    texts = _Texts(html_page(document_of(run), pictures=False)).texts
    start = texts.index("none", texts.index("kernel time"))
    assert texts[start : start + 5] == ["none", "1", "8", "sequential", "measured"]
    assert texts[start + 7 : start + 12] == ["4", "12", "9.26", "2,600", "20 %"]


def test_a_run_without_any_value_still_gives_pages(tmp_path: Path) -> None:
    failed = Measurement(
        cell=Cell(optimization="none", threads=1, batch=1), verdict="failed", reason="no luck"
    )
    index = build(run_of(failed), tmp_path)
    assert index == tmp_path / "index.html"
    for name in ("index.html", "index.markdown"):
        page = (tmp_path / name).read_text("utf-8")
        assert "No cell of this run has a value that can be drawn." in page
        assert "no luck" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "index.markdown"]


def test_a_run_without_cells_still_gives_a_page(tmp_path: Path) -> None:
    assert build(run_of(), tmp_path, PAGES).read_text("utf-8").count("No cells.") == 2


def test_progress_names_every_file(tmp_path: Path) -> None:
    heard: list[str] = []
    build(run_of(exact("none", 1, 1, 10)), tmp_path, on_progress=heard.append)
    assert sorted(heard) == sorted(path.name for path in tmp_path.iterdir())
    assert heard[-2:] == ["index.markdown", "index.html"]


def test_the_first_thing_written_is_returned_where_no_page_is_asked(tmp_path: Path) -> None:
    run = run_of(exact("none", 1, 1, 10))
    assert build(run, tmp_path, frozenset({"markdown"})) == tmp_path / "index.markdown"
    assert build(run, tmp_path, frozenset({"png"})) == tmp_path / "tiny-latency-1.png"


def test_an_unknown_format_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'pdf'; choose from html, markdown, png"):
        build(run_of(), tmp_path, frozenset({"pdf"}))


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match=r"cannot write .*index\.markdown: "):
        build(run_of(), tmp_path / "taken", frozenset({"markdown"}))


def test_a_missing_library_names_the_command_that_installs_it() -> None:
    with pytest.raises(EnvironmentFault, match=r"pip install 'coresplit\[report\]'"):
        library("no_such_drawing_library")


def test_importing_the_room_loads_no_drawing_library() -> None:
    code = (
        "import sys, coresplit.reports\n"
        "heavy = {'altair', 'vl_convert', 'jinja2', 'torch', 'numpy', 'coresplit.store'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_library_cannot_end_its_element() -> None:
    assert "</script" not in javascript()
    assert len(javascript()) > 500_000


def test_without_its_libraries_the_report_refuses_before_it_writes(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "jinja2.py").write_text("raise ImportError('hidden')\n")
    code = (
        f"import sys; sys.path[:0] = {[str(tmp_path / 'hidden'), str(Path(__file__).parent)]}\n"
        "from pathlib import Path\n"
        "from report_runs import exact, run_of\n"
        "from coresplit.errors import EnvironmentFault\n"
        "from coresplit.reports import build\n"
        "run = run_of(exact('none', 1, 1, 10))\n"
        f"out = Path({str(tmp_path / 'out')!r})\n"
        "build(run, out / 'text', frozenset({'markdown'}))\n"
        "try:\n    build(run, out / 'all')\n"
        "except EnvironmentFault as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == (
        "the report needs jinja2, which is not installed; run: pip install 'coresplit[report]'\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["text"]
