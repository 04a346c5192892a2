import fcntl
import multiprocessing
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coresplit.cache import VARIABLE, Cache
from coresplit.errors import StorageError

NOBODY = 65534
KEY = {"identity": "abc", "torch": "2.13"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


class Builder:
    """Writes two files, one in a folder, and counts how often it is asked."""

    def __init__(self, text: str = "weights") -> None:
        self.calls = 0
        self.text = text

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        assert list(folder.iterdir()) == []
        (folder / "model.onnx").write_text("graph")
        (folder / "deep").mkdir()
        (folder / "deep" / "data").write_text(self.text)


def test_an_entry_is_built_once_and_then_found(cache: Cache) -> None:
    builder = Builder()
    path = cache.get("onnx", KEY, builder)
    assert (path / "deep" / "data").read_text() == "weights"
    assert cache.get("onnx", dict(reversed(KEY.items())), builder) == path
    assert builder.calls == 1


def test_another_kind_or_key_is_another_entry(cache: Cache) -> None:
    paths = {
        cache.get("onnx", KEY, Builder()),
        cache.get("int8", KEY, Builder()),
        cache.get("onnx", KEY | {"torch": "2.14"}, Builder()),
        cache.get("onnx", {"identity": "abc"}, Builder()),
    }
    assert len(paths) == 4


def truncate(path: Path) -> None:
    (path / "deep" / "data").write_text("weigh")


def change_one_byte(path: Path) -> None:
    (path / "deep" / "data").write_text("weighty")


def remove_a_file(path: Path) -> None:
    (path / "model.onnx").unlink()


def add_a_file(path: Path) -> None:
    (path / "more").write_text("?")


def remove_the_manifest(path: Path) -> None:
    (path / "entry.json").unlink()


def spoil_the_manifest(path: Path) -> None:
    (path / "entry.json").write_bytes(b"\xff{")


def empty_it(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def replace_it_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("not a folder")


def replace_a_file_by_a_folder(path: Path) -> None:
    (path / "model.onnx").unlink()
    (path / "model.onnx").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        change_one_byte,
        remove_a_file,
        add_a_file,
        remove_the_manifest,
        spoil_the_manifest,
        empty_it,
        replace_it_by_a_file,
        replace_a_file_by_a_folder,
    ],
)
def test_a_damaged_entry_is_built_anew(cache: Cache, damage: Callable[[Path], None]) -> None:
    builder = Builder()
    path = cache.get("onnx", KEY, builder)
    damage(path)
    assert cache.get("onnx", KEY, builder) == path
    assert builder.calls == 2
    assert (path / "deep" / "data").read_text() == "weights"
    assert sorted(each.name for each in path.iterdir()) == ["deep", "entry.json", "model.onnx"]


def test_what_a_builder_that_was_killed_left_behind_is_swept_away(cache: Cache) -> None:
    path = cache.get("onnx", KEY, Builder())
    shutil.rmtree(path)
    draft = path.with_name(f"{path.name}.draft")
    draft.mkdir()
    (draft / "half").write_text("?")
    cache.get("onnx", KEY, Builder())
    assert not draft.exists()
    assert not (path / "half").exists()


def test_a_builder_that_fails_leaves_nothing_and_its_error_is_passed_on(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("?")
        raise ValueError("no such operator")

    with pytest.raises(ValueError, match="no such operator"):
        cache.get("onnx", KEY, fail)
    assert cache.entries() == []
    assert [each for each in cache.root.iterdir() if each.is_dir()] == []
    builder = Builder()
    cache.get("onnx", KEY, builder)
    assert builder.calls == 1


def _get_slowly(root: Path, log: Path) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as file:
            file.write("built\n")
        time.sleep(0.3)
        (folder / "file").write_text("whole")

    path = Cache(root).get("onnx", KEY, build)
    assert (path / "file").read_text() == "whole"


def test_processes_that_ask_at_once_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    processes = [
        context.Process(target=_get_slowly, args=(tmp_path / "cache", log)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert log.read_text() == "built\n"


def test_entries_say_what_they_are_the_last_used_first(cache: Cache) -> None:
    first = cache.get("onnx", KEY, Builder())
    second = cache.get("int8", KEY, Builder("x" * 1000))
    (second / "model.onnx").unlink()
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    cache.get("onnx", KEY, Builder())
    onnx, int8 = cache.entries()
    assert (onnx.kind, onnx.key, onnx.path, onnx.whole) == ("onnx", KEY, first, True)
    assert abs(onnx.used_at - time.time()) < 60
    assert (int8.kind, int8.whole, int8.used_at) == ("int8", False, 2)
    assert 1000 < int8.size < 2000
    (second / "entry.json").unlink()
    os.utime(second, (2, 2))
    assert (cache.entries()[1].kind, cache.entries()[1].key) == ("int8", {})


def test_a_folder_that_a_library_keeps_is_listed_and_never_called_damaged(cache: Cache) -> None:
    path = cache.folder("inductor", KEY)
    (path / "code.so").write_text("machine code")
    assert cache.folder("inductor", KEY) == path
    assert (path / "code.so").exists()
    (entry,) = cache.entries()
    assert (entry.kind, entry.key, entry.whole) == ("inductor", KEY, True)


def test_clearing_removes_all_and_says_how_much_that_was(cache: Cache) -> None:
    cache.get("onnx", KEY, Builder("x" * 5000))
    cache.folder("inductor", KEY)
    size = sum(entry.size for entry in cache.entries())
    assert size > 5000
    assert cache.clear() == size
    assert cache.entries() == []
    assert cache.clear() == 0
    builder = Builder()
    cache.get("onnx", KEY, builder)
    assert builder.calls == 1


def test_a_folder_of_someone_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "cat.jpg").write_text("cat")
    cache = Cache(tmp_path)
    cache.get("onnx", KEY, Builder())
    assert [entry.kind for entry in cache.entries()] == ["onnx"]
    cache.clear()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["pictures", "thesis.txt"]


def test_a_root_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError) as caught:
        Cache(tmp_path / "file").get("onnx", KEY, Builder())
    assert str(caught.value) == (
        f"the cache {tmp_path / 'file'} cannot be used: File exists; "
        f"free space there, or name another folder in {VARIABLE}"
    )


def test_a_full_disk_while_building_is_one_line(cache: Cache) -> None:
    def build(folder: Path) -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x" * 100_000)

    with pytest.raises(StorageError, match=r"No space left on device; free space there"):
        cache.get("onnx", KEY, build)
    assert cache.entries() == []


def test_a_missing_file_that_a_builder_wanted_is_not_taken_for_the_disk(cache: Cache) -> None:
    def build(folder: Path) -> None:
        (folder / "never made").read_text()

    with pytest.raises(FileNotFoundError):
        cache.get("onnx", KEY, build)


def test_a_folder_that_may_not_be_written_is_one_line() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        before = os.geteuid()
        if before == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(StorageError) as caught:
                Cache(Path(folder) / "cache").get("onnx", KEY, Builder())
        finally:
            os.seteuid(before)
    assert str(caught.value).startswith(f"the cache {folder}/cache cannot be used: Permission")


def test_what_is_being_built_is_not_cleared(cache: Cache) -> None:
    def build(folder: Path) -> None:
        assert cache.clear() == 0
        (folder / "file").write_text("whole")

    path = cache.get("onnx", KEY, build)
    assert (path / "file").read_text() == "whole"


def test_a_lock_that_was_cleared_while_another_waited_for_it_is_no_lock(cache: Cache) -> None:
    path = cache.get("onnx", KEY, Builder())
    lock = path.with_name(f"{path.name}.lock")
    found = []

    def wait() -> None:
        with cache._locked(path):
            found.append(lock.stat().st_ino)

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        lock.rename(path.with_name("old"))
    waiting.join(10)
    assert found == [lock.stat().st_ino]
    assert found != [path.with_name("old").stat().st_ino]


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "named"))
    assert Cache().root == tmp_path / "named"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert Cache().root == tmp_path / "home" / "coresplit"
