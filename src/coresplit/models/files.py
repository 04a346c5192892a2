"""Check a model file, folder or module without torch and without running it."""

import hashlib
import struct
import sys
import zipfile
import zlib
from importlib.machinery import PathFinder
from pathlib import Path

from coresplit.errors import UsageError
from coresplit.models.sources import Source

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_HEAD_BYTES = 64
_DIGITS = 16
# torch.export evaluates expressions and calls functions named in the file, even without pickles;
# TorchScript can overwrite files (aten::save). Neither can be checked before it is loaded.
_UNTRUSTED = {
    "program": "is a program of torch.export, and loading it can run code",
    "script": "is TorchScript, which is code and can overwrite files",
    "pickle": "is a pickle, not TorchScript, and loading it can run code",
}
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    RuntimeError,
    ValueError,
    struct.error,
)
_ALIEN = {
    b"version https://git-lfs": "is a pointer of git LFS, not the file itself; run: git lfs pull",
    b"<": "is a web page or XML, not the model; download the file itself",
    b"\x89HDF": "is an HDF5 file, not what its ending says; export the model again",
}


def check_source(source: Source, *, trust: bool) -> None:
    """Raise ``UsageError`` for a file, folder or module that is missing or of the wrong kind.

    ``trust`` allows files that can run code: all but ONNX.
    """
    if source.is_file:
        _check_file(source, trust=trust)
    elif source.kind == "python":
        _check_module(source)
    elif source.kind == "hf":
        _check_folder(source)


def _check_file(source: Source, *, trust: bool) -> None:
    name, path = source.name, source.path
    head = read_head(path, f"'{name}'", "model file")
    for start, what in _ALIEN.items():
        if head.lstrip(b"\xef\xbb\xbf \r\n").startswith(start):
            raise UsageError(f"'{name}' {what}")
    if source.kind == "onnx":
        _check_graph(name, head)
        return
    try:
        _check_archive(source, head, trust=trust)
    except OSError as error:
        raise UsageError(f"'{name}' cannot be read: {error.strerror or error}") from error


def read_head(path: Path, title: str, kind: str) -> bytes:
    """The first bytes of a file; raises ``UsageError`` if it is not a readable regular file.

    Messages call the file ``title`` and what it should be ``kind``, such as ``model file``.
    """
    if path.is_dir():
        raise UsageError(f"{title} is a folder; name the {kind} in it")
    if not path.exists():
        raise UsageError(f"{title} does not exist; check the path")
    if not path.is_file():
        raise UsageError(f"{title} is not a regular file; name a {kind}")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"{title} cannot be read: {error.strerror or error}") from error
    if not head:
        raise UsageError(f"{title} is empty; download or save the {kind} again")
    return head


def _check_graph(name: str, head: bytes) -> None:
    if head.startswith((_ZIP, _PICKLE)):
        kind = "a zip archive" if head.startswith(_ZIP) else "a pickle"
        raise UsageError(f"'{name}' is {kind}, not an ONNX model; export the model again")


def _check_archive(source: Source, head: bytes, *, trust: bool) -> None:
    found = "pickle" if head.startswith(_PICKLE) else _kind_of_zip(source.path, head)
    name = source.name
    if found == "damaged":
        raise UsageError(
            f"'{name}' is truncated, damaged or not a PyTorch file; download or save it again"
        )
    if found == "compiled":
        raise UsageError(
            f"'{name}' is compiled for one machine; save the program itself: torch.export.save"
        )
    if source.kind == "program" and found != "program":
        was = {"script": "a TorchScript archive", "pickle": "a pickle"}[found]
        raise UsageError(
            f"'{name}' is {was}, not a program saved by torch.export.save; name it .pt"
        )
    if source.kind == "archive" and found == "program":
        raise UsageError(f"'{name}' is a program saved by torch.export.save; name it .pt2")
    if not trust:
        remedy = "if you trust its author, give {option}; or export the model to ONNX"
        if found == "pickle":
            remedy = "if it holds weights, name the model that they are for; if it holds a module "
            remedy += "and you trust its author, give {option}"
        raise UsageError(f"'{name}' {_UNTRUSTED[found]}", remedy, "trust=True")


def _kind_of_zip(path: Path, head: bytes) -> str:
    """``script``, ``program``, ``compiled``, ``pickle`` or ``damaged``."""
    if not head.startswith(_ZIP):
        return "damaged"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _BROKEN_ZIP:
        return "damaged"
    if any("/data/aotinductor/" in f"/{name}" for name in names):
        return "compiled"
    last = {name.rpartition("/")[2] for name in names}
    if last & {"archive_format", "serialized_exported_program.json"}:
        return "program"
    if "constants.pkl" in last:
        return "script"
    return "pickle" if "data.pkl" in last else "damaged"


def is_script(path: Path) -> bool:
    """True if a file that passed the checks is a TorchScript archive and not a pickle."""
    with path.open("rb") as file:
        return _kind_of_zip(path, file.read(_HEAD_BYTES)) == "script"


def file_hash(*paths: Path) -> str:
    """First 16 hex digits of the SHA-256 over the digests of files, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]


def _check_module(source: Source) -> None:
    """Look only for the top package, because finding a module inside it would run its code."""
    package = source.name.partition(":")[0].partition(".")[0]
    if package in sys.builtin_module_names or PathFinder.find_spec(package, ["", *sys.path]):
        return
    raise UsageError(
        f"'{source.name}': no module '{package}' found; run in the folder that contains it, "
        "or install it"
    )


def _check_folder(source: Source) -> None:
    """Require that a name that looks like a path is a folder with a configuration."""
    path = Path(source.rest).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(
                f"'{source.name}': there is no config.json in that folder; "
                "save the model with save_pretrained"
            )
    elif source.rest.startswith((".", "/", "~")) or source.rest.count("/") > 1:
        raise UsageError(f"'{source.name}': that folder does not exist; check the path")
