import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coresplit.cache import VARIABLE
from coresplit.cli import main
from coresplit.machine.cgroups import cpu_levels, cpu_quota
from coresplit.machine.reservation import SHARED

SERVING = Path(__file__).parents[1] / "benchmarks" / "serving"
# behind all else, so that no name of theirs hides another
sys.path.append(str(SERVING))
Ran = tuple[int, str, str]
Coresplit = Callable[..., Ran]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of expensive tests come first, so that no worker is left with a long one in the end."""
    expensive = {
        item.path
        for item in items
        if any(item.get_closest_marker(name) for name in ("slow", "browser"))
        or "torch" in vars(getattr(item, "module", None) or object)
    }
    items.sort(key=lambda item: item.path not in expensive)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache for all tests and workers together, which is not the user's."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    path.mkdir(mode=0o700, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(path))
        yield path


@pytest.fixture(scope="session", autouse=True)
def shared_cores() -> Iterator[None]:
    """No test waits for the cores of another one, as none asserts a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SHARED, "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread in the processes of the tests, which share the cores.

    Where more are the point a test sets them, and instances have processes of their own.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests of optimizations, so that a network is exported once."""
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def same_process() -> Iterator[None]:
    """What an optimization may change for its process is as it was after the test."""
    import torch

    cpus, threads = os.sched_getaffinity(0), torch.get_num_threads()
    folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    mask = os.umask(0o022)
    os.umask(mask)
    yield
    os.umask(mask)
    os.sched_setaffinity(0, cpus)
    torch.set_num_threads(threads)
    if folder is None:
        os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)


@pytest.fixture
def coresplit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Coresplit:
    """Runs the command line in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["coresplit", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, captured.out, captured.err

    return run


@pytest.fixture
def remove_group() -> Callable[[Path], None]:
    """Removes a cgroup whose processes have ended."""
    return _remove


@pytest.fixture
def group(remove_group: Callable[[Path], None]) -> Iterator[Path]:
    """A cgroup of our own below that of the test process; removed in the end."""
    own = next((path for path in cpu_levels() if (path / "cpu.cfs_quota_us").exists()), None)
    if own is None:
        pytest.skip("no cgroup v1 cpu controller here (version 2 only, or none)")
    if cpu_quota() is not None:
        pytest.skip("this process already runs under a CPU quota")
    folder = own / f"coresplit-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"the cgroup v1 cpu controller is not writable here: {error.strerror}")
    yield folder
    remove_group(folder)


def _remove(folder: Path) -> None:
    for _ in range(100):
        # A cgroup stays busy for a moment after its last process has ended.
        with contextlib.suppress(OSError):
            folder.rmdir()
            break
        time.sleep(0.05)
    assert not folder.exists()
