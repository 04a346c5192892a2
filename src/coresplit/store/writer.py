"""Create run folders and append to them, one fsynced line at a time."""

import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from coresplit.errors import RunError, StorageError, UsageError
from coresplit.records import SCHEMA, JournalEntry, Measurement, Run
from coresplit.store.encoding import (
    CELLS,
    JOURNAL,
    MANIFEST,
    encode_entry,
    encode_manifest,
    encode_measurement,
    missing,
)
from coresplit.store.files import LineFile, is_full, reason_of, sync_folder, write_atomically
from coresplit.store.reader import load, schema_of


class RunWriter:
    """A run folder open for appending; no other process can write to it meanwhile.

    Once ``append`` or ``log`` returns, the record is on the disk. Both raise StorageError if the
    write fails, which leaves the files whole and unchanged, and ValueError for an invalid record.
    Made by ``create`` and ``reopen``.
    """

    def __init__(self, path: Path, cells: LineFile, journal: LineFile) -> None:
        self.path = path
        self._cells = cells
        self._journal = journal

    def append(self, measurement: Measurement) -> None:
        """Store a measurement; it replaces an earlier one of its cell."""
        self._cells.append(encode_measurement(measurement))

    def log(self, entry: JournalEntry) -> None:
        """Store a journal entry."""
        self._journal.append(encode_entry(entry))

    def rewrite(self, run: Run) -> None:
        """Replace the manifest of the run; the measurements and the journal stay.

        If the process is killed meanwhile, either the old or the new one is there. Raises as
        ``append`` does.
        """
        manifest = encode_manifest(run)
        try:
            write_atomically(self.path / MANIFEST, manifest)
        except OSError as error:
            raise StorageError(
                f"{reason_of(error)} while writing {self.path / MANIFEST}; nothing is lost; "
                "free some space first"
            ) from error

    def close(self) -> None:
        """Release the folder; a second call does nothing."""
        self._cells.close()
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def create(path: Path, run: Run) -> RunWriter:
    """Make the run folder ``path`` with the content of ``run``, and open it for appending.

    Missing parents are made. The manifest is written last, so that a folder with one is complete.
    On any error nothing is left behind: UsageError if ``path`` exists or cannot be made,
    StorageError if the disk is full. ``run.warnings`` are not stored.
    """
    manifest = encode_manifest(run)
    cells = b"".join(map(encode_measurement, run.measurements))
    journal = b"".join(map(encode_entry, run.journal))
    made = _make_folder(path)
    try:
        write_atomically(path / CELLS, cells)
        write_atomically(path / JOURNAL, journal)
        write_atomically(path / MANIFEST, manifest)
        for folder in (path, *made):
            sync_folder(folder.parent)
        return _open(path)
    except BaseException as error:
        shutil.rmtree(path, ignore_errors=True)
        _remove_empty(made)
        if isinstance(error, OSError):
            raise _not_created(path, error) from error
        raise


def require_new(path: Path) -> None:
    """Raise as ``create`` would if ``path`` cannot become a run folder; leaves nothing behind.

    It makes the folder and removes it again, because only the file system knows what it permits.
    """
    made = _make_folder(path)
    _remove_empty([path, *made])


def save(path: Path, run: Run) -> None:
    """Write a whole run to the new folder ``path``; raises as ``create`` does."""
    create(path, run).close()


def reopen(path: Path) -> tuple[Run, RunWriter]:
    """Load the run folder ``path`` and open it for appending, to resume its sweep.

    A torn last line is cut off in the file. Raises as ``load`` does, UsageError if another
    process writes to the folder or it is read-only, and RunError if an older version wrote it.
    """
    if schema_of(path) < SCHEMA:
        raise RunError(
            f"run {path} was written by an older coresplit; it can be read but not resumed"
        )
    try:
        writer = _open(path)
    except FileNotFoundError as error:
        raise missing(Path(error.filename)) from error
    except OSError as error:
        raise UsageError(
            f"run {path} cannot be written: {reason_of(error)}; make it writable to resume it"
        ) from error
    try:
        run = load(path)
        writer._cells.cut_torn_line()
        writer._journal.cut_torn_line()
    except BaseException:
        writer.close()
        raise
    return run, writer


def _open(path: Path) -> RunWriter:
    cells = LineFile(path / CELLS)
    try:
        return RunWriter(path, cells, LineFile(path / JOURNAL))
    except BaseException:
        cells.close()
        raise


def _make_folder(path: Path) -> list[Path]:
    """Make ``path`` and its missing parents; return the parents made, innermost first."""
    made: list[Path] = []
    try:
        for folder in reversed([each for each in path.parents if not each.exists()]):
            folder.mkdir(exist_ok=True)
            made.insert(0, folder)
        path.mkdir()
    except OSError as error:
        _remove_empty(made)
        raise _not_created(path, error) from error
    return made


def _remove_empty(made: list[Path]) -> None:
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def _not_created(path: Path, error: OSError) -> UsageError | StorageError:
    reason = reason_of(error)
    if is_full(error):
        return StorageError(f"{reason} while creating {path}; nothing was written; free some space")
    if isinstance(error, FileExistsError) and path.is_dir():
        return UsageError(
            f"{path} exists", "name a new folder, or continue with {option}", f"resume={path}"
        )
    if isinstance(error, FileExistsError):
        return UsageError(f"{path} is a file; name a new folder")
    if isinstance(error, NotADirectoryError):
        file = next(each for each in path.parents if each.exists())
        return UsageError(f"{path} cannot be created: {file} is a file; name another folder")
    return UsageError(f"{path} cannot be created: {reason}; name a folder that can be written to")
