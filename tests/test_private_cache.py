"""What is in the cache is executed, so it must be the user's alone."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coresplit.cache import VARIABLE, Cache
from coresplit.errors import EnvironmentFault, StorageError

OTHER = 65534
KEY = {"identity": "abc"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "above" / "cache")


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


class Builder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        (folder / "deep").mkdir()
        (folder / "deep" / "code.so").write_text("machine code")


def refusal(cache: Cache) -> str:
    """The one line that every way in gives."""
    lines = set()
    for way in (
        lambda: cache.get("onnx", KEY, Builder()),
        lambda: cache.folder("inductor", KEY),
        cache.entries,
        cache.clear,
    ):
        with pytest.raises(EnvironmentFault) as caught:
            way()
        lines.add(str(caught.value))
    (line,) = lines
    assert "\n" not in line
    assert f"the cache {cache.root} " in line
    assert f"name a folder of your own in {VARIABLE}" in line
    return line


def test_the_cache_is_made_for_the_user_alone(cache: Cache, open_umask: None) -> None:
    path = cache.get("onnx", KEY, Builder())
    folder = cache.folder("inductor", KEY)
    for each in (cache.root, cache.root.parent, path, folder):
        assert each.stat().st_mode & 0o022 == 0
    assert cache.root.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_cache_that_others_can_write_to_is_refused(cache: Cache, mode: int) -> None:
    cache.get("onnx", KEY, Builder())
    cache.root.chmod(mode)
    assert "can be written by other users" in refusal(cache)


@as_root
def test_a_cache_of_another_user_is_refused(cache: Cache) -> None:
    cache.get("onnx", KEY, Builder())
    os.chown(cache.root, OTHER, OTHER)
    assert f"belongs to another user (uid {OTHER})" in refusal(cache)


def test_a_cache_that_others_can_replace_is_refused(cache: Cache) -> None:
    cache.get("onnx", KEY, Builder())
    cache.root.parent.chmod(0o777)
    assert f"who may write to {cache.root.parent}" in refusal(cache)


def test_a_cache_below_a_sticky_folder_is_used(cache: Cache) -> None:
    cache.root.parent.mkdir(parents=True)
    cache.root.parent.chmod(0o1777)
    assert cache.get("onnx", KEY, Builder()).is_dir()


@as_root
def test_root_uses_a_cache_below_a_folder_of_another_user(cache: Cache) -> None:
    cache.root.parent.mkdir(parents=True)
    os.chown(cache.root.parent, OTHER, OTHER)
    assert cache.get("onnx", KEY, Builder()).is_dir()


def test_a_link_to_a_cache_counts_as_what_it_leads_to(cache: Cache, tmp_path: Path) -> None:
    cache.get("onnx", KEY, Builder())
    linked = Cache(tmp_path / "link")
    linked.root.symlink_to(cache.root)
    builder = Builder()
    linked.get("onnx", KEY, builder)
    assert builder.calls == 0
    cache.root.chmod(0o777)
    assert "can be written by other users" in refusal(linked)


def open_the_entry(path: Path) -> None:
    path.chmod(0o777)


def open_a_folder(path: Path) -> None:
    (path / "deep").chmod(0o770)


def open_a_file(path: Path) -> None:
    (path / "deep" / "code.so").chmod(0o666)


def open_the_manifest(path: Path) -> None:
    (path / "entry.json").chmod(0o664)


def link_a_file(path: Path) -> None:
    file = path / "deep" / "code.so"
    file.rename(path.parent / "elsewhere")
    file.symlink_to(path.parent / "elsewhere")


def link_the_entry(path: Path) -> None:
    path.rename(path.parent / "elsewhere")
    path.symlink_to(path.parent / "elsewhere")


def add_a_pipe(path: Path) -> None:
    os.mkfifo(path / "deep" / "pipe")


def make_the_manifest_a_pipe(path: Path) -> None:
    (path / "entry.json").unlink()
    os.mkfifo(path / "entry.json")


def give_a_file_away(path: Path) -> None:
    os.chown(path / "deep" / "code.so", OTHER, OTHER)


def give_a_folder_away(path: Path) -> None:
    os.chown(path / "deep", OTHER, OTHER)


def give_the_entry_away(path: Path) -> None:
    os.chown(path, OTHER, OTHER)


CHANGES = [
    open_the_entry, open_a_folder, open_a_file, open_the_manifest, link_a_file, link_the_entry,
    add_a_pipe, make_the_manifest_a_pipe,
    *(
        pytest.param(each, marks=as_root)
        for each in (give_a_file_away, give_a_folder_away, give_the_entry_away)
    ),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_an_entry_that_others_could_change_is_built_anew(
    cache: Cache, change: Callable[[Path], None]
) -> None:
    builder = Builder()
    path = cache.get("onnx", KEY, builder)
    change(path)
    assert not cache.entries()[0].whole
    assert cache.get("onnx", KEY, builder) == path
    assert builder.calls == 2
    assert cache.entries()[0].whole


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_of_a_library_that_others_could_change_is_emptied(
    cache: Cache, change: Callable[[Path], None]
) -> None:
    path = cache.folder("inductor", KEY)
    Builder()(path)
    assert cache.folder("inductor", KEY) == path
    assert (path / "deep" / "code.so").exists()
    change(path)
    assert not cache.entries()[0].whole
    assert cache.folder("inductor", KEY) == path
    assert [each.name for each in path.iterdir()] == ["entry.json"]
    assert not path.is_symlink()
    assert cache.entries()[0].whole


def test_an_entry_is_found_again_whatever_the_umask(cache: Cache, open_umask: None) -> None:
    builder = Builder()
    for _ in range(2):
        cache.get("onnx", KEY, builder)
    assert builder.calls == 1
    folder = cache.folder("prepared", KEY)
    (folder / "mine").touch(mode=0o600)
    assert (cache.folder("prepared", KEY) / "mine").exists()


def test_a_lock_that_is_a_link_is_not_followed(cache: Cache, tmp_path: Path) -> None:
    path = cache.get("onnx", KEY, Builder())
    (tmp_path / "thesis.txt").write_text("years of work")
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink()
    lock.symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(Exception, match="cannot be used"):
        cache.get("onnx", KEY, Builder())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_without_a_home_the_variable_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.setattr("os.getuid", lambda: 54321)
    with pytest.raises(EnvironmentFault, match=f"set HOME or {VARIABLE}"):
        Cache()


@as_root
def test_a_link_of_another_user_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    link = tmp_path / "link"
    (tmp_path / "mine").mkdir(mode=0o700)
    link.symlink_to("mine")
    Cache(link).get("onnx", KEY, Builder())
    os.chown(link, OTHER, -1, follow_symlinks=False)
    assert f"who owns {link}" in refusal(Cache(link))


def test_a_link_through_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.mkdir()
    (tmp_path / "mine").mkdir(mode=0o700)
    (shared / "hop").symlink_to(tmp_path / "mine")
    link.symlink_to("mine/../shared/hop")
    Cache(link).get("onnx", KEY, Builder())
    shared.chmod(0o777)
    assert f"who may write to {shared}" in refusal(Cache(link))


def test_links_in_a_circle_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match="cannot be used: "):
        Cache(tmp_path / "a").get("onnx", KEY, Builder())


@as_root
def test_a_folder_above_that_a_group_can_write_to_is_refused_but_for_the_users_own(
    tmp_path: Path,
) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o770)
    os.chown(above, -1, 0)
    cache = Cache(above / "cache")
    cache.get("onnx", KEY, Builder())
    os.chown(above, -1, OTHER)
    assert f"who may write to {above}" in refusal(cache)


@as_root
def test_a_user_does_not_use_a_cache_below_a_folder_of_another() -> None:
    # the folders that pytest makes are closed to all but their owner
    with tempfile.TemporaryDirectory() as folder:
        above = Path(folder)
        above.chmod(0o755)
        (above / "cache").mkdir(mode=0o700)
        os.chown(above / "cache", OTHER, -1)
        before = os.geteuid()
        os.seteuid(OTHER)
        try:
            Cache(above / "cache").get("onnx", KEY, Builder())
        finally:
            os.seteuid(before)
        os.chown(above, 4242, -1)
        os.seteuid(OTHER)
        try:
            assert f"(uid 4242), who owns {above}" in refusal(Cache(above / "cache"))
        finally:
            os.seteuid(before)
