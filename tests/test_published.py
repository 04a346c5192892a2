"""The published page and tables, where they lie beside the checkout."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from coresplit import store
from coresplit.errors import TableError
from coresplit.records import Cell

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
PUBLISHED = SHARED / "reference" / "published"

pytestmark = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published tables do not lie beside this checkout"
)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("inception-xeon6142-16c-isolated", 528),
        ("resnet-xeon6142-16c-isolated", 528),
        ("inception-xeon6142-16c-tcmalloc", 176),
        ("inception-skylake2x-18c-oldcolumns", 144),
    ],
)
def test_every_published_latency_table_is_imported(name: str, cells: int) -> None:
    run = store.import_tables([PUBLISHED / f"{name}-latency.csv"], created_at=0.0)
    assert len(run.measurements) == cells
    assert all(each.published is not None for each in run.measurements)


def test_latency_and_throughput_tables_agree() -> None:
    paths = [
        PUBLISHED / f"inception-xeon6142-16c-isolated-{what}.csv"
        for what in ("latency", "throughput")
    ]
    run = store.import_tables(paths, created_at=0.0)
    first = {each.cell: each for each in run.measurements}[
        Cell(optimization="none", threads=1, batch=1)
    ]
    assert first.published is not None
    assert first.published.mean == pytest.approx(0.10935227490002035, rel=1e-12)


def test_tables_of_instances_running_together_are_refused() -> None:
    with pytest.raises(TableError, match="instance"):
        store.import_tables(
            [PUBLISHED / "inception-xeon6142-16c-together-latency.csv"], created_at=0.0
        )


def test_every_image_and_heading_of_the_published_page_comes_out_of_our_run(
    coresplit: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    seed = (SHARED / "seed" / "inception.markdown").read_text()
    example = ROOT / "examples" / "inception-epyc-2c"
    for file in example.glob("*.json*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    code, _, err = coresplit("report", tmp_path, "--format", "markdown,png")
    assert code == 0, err
    page = (tmp_path / "report" / "index.markdown").read_text()
    assert page.startswith(seed[: seed.index("# Latency")].rstrip())
    headings = re.findall(r"^#+ .*$", seed, re.MULTILINE)
    ours = iter(re.findall(r"^#+ .*$", page, re.MULTILINE))
    assert all(heading in ours for heading in headings)
    names = re.findall(r'src="\./([^"]+)"', seed)
    assert len(names) == 28
    for name in names:
        assert f'src="./{name}"' in page
        with Image.open(tmp_path / "report" / name) as picture:
            picture.load()
            assert min(picture.size) > 400
