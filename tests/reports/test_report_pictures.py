from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_runs import exact, run_of

from coresplit.errors import StorageError
from coresplit.reports import build
from coresplit.reports.pages.png import remove_others, run_of_picture, signed


def png() -> bytes:
    made = BytesIO()
    Image.new("RGB", (3, 2), "red").save(made, "PNG")
    return made.getvalue()


@given(st.text())
def test_a_picture_tells_the_run_it_was_signed_with_and_stays_a_picture(name: str) -> None:
    picture = signed(png(), name)
    with Image.open(BytesIO(picture)) as opened:
        opened.load()
        assert opened.size == (3, 2)


def test_the_name_of_the_run_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for name in ("run", 'ä "quoted"\n', ""):
        path.write_bytes(signed(png(), name))
        assert run_of_picture(path) == name


@given(st.binary(max_size=80))
def test_no_other_file_is_taken_for_a_signed_picture(content: bytes) -> None:
    class Held:
        def open(self, mode: str) -> BytesIO:
            assert mode == "rb"
            return BytesIO(content)

    assert run_of_picture(Held()) is None  # type: ignore[arg-type]


def test_only_pictures_of_the_same_run_that_are_not_kept_are_removed(tmp_path: Path) -> None:
    for name, content in (
        ("kept.png", signed(png(), "run")),
        ("stale.png", signed(png(), "run")),
        ("other.png", signed(png(), "another run")),
        ("mine.png", png()),
        ("empty.png", b""),
        ("notes.txt", signed(png(), "run")),
    ):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link.png").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "folder.png").mkdir()
    assert remove_others(tmp_path, "run", {"kept.png"}) == (tmp_path / "stale.png",)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "empty.png",
        "folder.png",
        "kept.png",
        "link.png",
        "mine.png",
        "notes.txt",
        "other.png",
    ]


def test_a_report_that_is_built_again_leaves_no_picture_of_a_figure_that_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.png").write_bytes(png())
    build(run_of(exact("none", 1, 1, 10), exact("none", 1, 2, 10)), tmp_path, frozenset({"png"}))
    assert (tmp_path / "tiny-latency-2.png").is_file()
    again = run_of(exact("none", 1, 1, 10))
    build(again, tmp_path, frozenset({"html"}))
    assert (tmp_path / "tiny-latency-2.png").is_file()
    build(again, tmp_path, frozenset({"png", "markdown"}))
    names = {path.name for path in tmp_path.glob("*.png")}
    assert "tiny-latency-1.png" in names and "mine.png" in names
    assert "tiny-latency-2.png" not in names
    build(msgspec.structs.replace(run_of(), name="another"), tmp_path, frozenset({"png"}))
    assert {path.name for path in tmp_path.glob("*.png")} == names


def test_a_folder_that_refuses_removal_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.png").write_bytes(signed(png(), "small"))

    def refuse(path: Path, *, missing_ok: bool) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match=r"cannot remove old pictures of .*: Permission denied"):
        build(run_of(exact("none", 1, 1, 10)), tmp_path, frozenset({"png"}))


def test_a_long_title_of_emoji_is_drawn(tmp_path: Path) -> None:
    run = run_of(exact("none", 1, 8, 20), exact("none", 2, 8, 10))
    title = "\N{GRINNING FACE}" * 50
    run = msgspec.structs.replace(run, model=msgspec.structs.replace(run.model, title=title))
    build(run, tmp_path)
    assert list(tmp_path.glob("*.png"))
