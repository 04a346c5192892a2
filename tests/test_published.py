"""The published page and tables, where they lie beside the checkout."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from coresplit import store
from coresplit.records import Cell, Verification

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


@pytest.mark.parametrize(
    ("model", "lacking"), [("inception", "lacks 27 instances"), ("resnet", None)]
)
def test_instances_running_together_are_splits_beside_one_instance(
    model: str, lacking: str | None
) -> None:
    path = PUBLISHED / f"{model}-xeon6142-16c-together-latency.csv"
    run = store.import_tables([path], created_at=0.0)
    assert run.measurements == ()
    splits = [entry for entry in run.journal if isinstance(entry, Verification)]
    assert [each.batch for each in splits] == [8, 16, 32, 64, 128, 256, 512, 1024]
    for each in splits:
        assert [trial.name for trial in each.trials] == ["split", "fat"]
        assert all(trial.split.cores == each.cores == 16 for trial in each.trials)
        assert all(trial.split.batch == each.batch for trial in each.trials)
    assert [lacking in text for text in run.warnings if lacking] in ([], [False, True])


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
