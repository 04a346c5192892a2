"""A disk that fills, a file that vanishes and a killed process cost nothing already stored."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import MEASUREMENTS, RUN, measured

from coresplit.errors import StorageError
from coresplit.store import create, load, reopen
from coresplit.store.files import LineFile

HERE = Path(__file__).parent

# Appends until the disk refuses, then makes room as argv[2] says and appends once more.
FILL = """
import resource, sys
from pathlib import Path
from store_samples import RUN, measured
from coresplit.errors import StorageError
from coresplit.store import create, load

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

path, ballast = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
if ballast is None:
    limit(5000)
with create(path, RUN) as writer:
    done = 0
    try:
        while True:
            writer.append(measured(1, done + 1, *[0.1] * 200))
            done += 1
    except StorageError as error:
        print(error)
    try:
        writer.append(measured(2, 1, *[0.1] * 2000))
    except StorageError:
        pass
    run = load(path)
    assert not run.warnings, run.warnings
    assert [each.cell.batch for each in run.measurements] == list(range(1, done + 1))
    if ballast is None:
        limit(resource.RLIM_INFINITY)
    else:
        ballast.unlink()
    writer.append(measured(2, 2))
run = load(path)
assert len(run.measurements) == done + 1 and not run.warnings
print(done)
"""


def ran(script: str, *arguments: object, prefix: tuple[str, ...] = ()) -> list[str]:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script, *map(str, arguments)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


def test_a_refused_append_keeps_whole_lines_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "my run"
    message, done = ran(FILL, path)
    assert message.startswith(f"the file size limit is reached while writing {path}/cells.jsonl; ")
    assert message.endswith(f"continue with resume={path}")
    assert done == "3"


def test_a_full_file_system_keeps_whole_lines_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    """Needs the right to mount a small file system in a name space of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    path, ballast = tmp_path / "run", tmp_path / "ballast"
    mount = f"mount -t tmpfs -o size=64k none '{tmp_path}'"
    fill = f"{mount} && head -c 16384 /dev/zero > '{ballast}' && exec \"$@\""
    prefix = ("unshare", "--mount", *(("-r",) if os.getuid() else ()), "sh", "-c")
    if subprocess.run([*prefix, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    message, done = ran(FILL, path, ballast, prefix=(*prefix, fill, "sh"))
    assert message.startswith(f"the disk is full while writing {path}/cells.jsonl; ")
    assert message.endswith(f"continue with resume={path}")
    assert int(done) > 3


def test_a_full_device_is_named_in_the_error() -> None:
    with LineFile(Path("/dev/full")) as file, pytest.raises(StorageError) as caught:
        file.append(b"{}\n")
    assert str(caught.value).startswith("the disk is full while writing /dev/full; ")


def test_creating_on_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from store_samples import RUN
from coresplit.errors import StorageError
from coresplit.store import create
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    create(Path(sys.argv[1]), RUN)
except StorageError as error:
    print(error)
"""
    path = tmp_path / "runs" / "run"
    assert ran(script, path) == [
        f"the file size limit is reached while creating {path}; "
        "nothing was written; free some space"
    ]
    assert list(tmp_path.iterdir()) == []


def test_exporting_on_a_full_disk_leaves_no_torn_table(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
import msgspec
from store_samples import RUN, MEASUREMENTS
from coresplit.errors import StorageError
from coresplit.store import export_tables
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    export_tables(msgspec.structs.replace(RUN, measurements=MEASUREMENTS), Path(sys.argv[1]))
except StorageError as error:
    print(error)
"""
    assert ran(script, tmp_path) == [
        f"the file size limit is reached while writing tables to {tmp_path}; free some space first"
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_deleted_while_measuring_is_noticed(tmp_path: Path) -> None:
    with create(tmp_path / "run", RUN) as writer:
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(StorageError, match="the file was deleted while writing"):
            writer.append(MEASUREMENTS[0])


def test_a_killed_process_loses_nothing_it_had_appended(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from store_samples import RUN, measured
from coresplit.store import create
with create(Path(sys.argv[1]), RUN) as writer:
    for batch in range(1, 100_000):
        writer.append(measured(1, batch, *[0.1] * 500))
        print(batch, flush=True)
"""
    path = tmp_path / "run"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(20)]
        child.send_signal(signal.SIGKILL)
        told += [int(line) for line in child.stdout if line.endswith("\n")]
    run, writer = reopen(path)
    assert [each.cell.batch for each in run.measurements][: len(told)] == told
    assert len(run.measurements) - len(told) in (0, 1)
    with writer:
        writer.append(measured(2, 1))
    assert len(load(path).measurements) == len(run.measurements) + 1
