"""Models that one instance prepares with PyTorch and others load from a file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from coresplit.cache import Cache
from coresplit.errors import PrepareFailed
from coresplit.instance.memory import proportional, resident
from coresplit.instance.messages import HandedOver, Ready, Serve
from coresplit.machine.counters import peak_memory, reset_peak_memory
from coresplit.models.files import file_hash
from coresplit.optimizations import LEAST_SPREAD, MAX_ERROR
from coresplit.optimizations.arrays import Arrays
from coresplit.optimizations.base import Artifact

_FACTS, _EXAMPLE = "facts.json", "example.npz"


class _Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    artifact: Artifact
    files: tuple[str, ...]
    ready: Ready


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared model: its artifact, the facts about it, and an example.

    ``files`` are the user's own files that it reads again, with ``ready.weights`` as their hash.
    ``ready`` is the answer of the instance that prepared it, with the comparison to eager PyTorch.
    ``outputs`` are what the model computed from ``inputs``, arrays [N, ...].
    """

    artifact: Artifact
    files: tuple[str, ...] = ()
    ready: Ready
    inputs: Arrays
    outputs: Arrays

    def keep(self, key: Mapping[str, str], cache: Cache) -> Path:
        """Store it in the cache and return the folder; ``key`` names everything it depends on.

        Raises StorageError on a disk error, EnvironmentFault if other users can write there.
        """

        def write(folder: Path) -> None:
            facts = _Facts(artifact=self.artifact, files=self.files, ready=self.ready)
            (folder / _FACTS).write_bytes(msgspec.json.encode(facts))
            np.savez(folder / _EXAMPLE, *self.inputs, *self.outputs)

        # a version with other fields cannot read what an older one has stored
        stored = (_Facts, Ready, HandedOver)
        known = " ".join(name for each in stored for name in each.__struct_fields__)
        return cache.get("handover", {**key, "artifact": self.artifact.path, "facts": known}, write)

    @classmethod
    def take(cls, folder: Path, cache: Cache) -> "Handover":
        """Load it from a folder; raises PrepareFailed if that is missing or has changed."""
        facts = None
        if cache.holds(folder):
            facts = msgspec.json.decode((folder / _FACTS).read_bytes(), type=_Facts)
        if facts is None or not _is_there(Path(facts.artifact.path), cache):
            raise PrepareFailed("the model another instance prepared is gone from the cache")
        if facts.files and file_hash(*map(Path, facts.files)) != facts.ready.weights:
            raise PrepareFailed("the model file was replaced")
        with np.load(folder / _EXAMPLE, allow_pickle=False) as file:
            arrays = tuple(file[f"arr_{n}"] for n in range(len(file.files)))
        count = len(facts.ready.inputs)
        return cls(
            artifact=facts.artifact,
            files=facts.files,
            ready=facts.ready,
            inputs=arrays[:count],
            outputs=arrays[count:],
        )

    def check(self, found: Arrays) -> None:
        """Raise PrepareFailed if the outputs of the example have changed.

        They may differ as much as the outputs of an optimization may from eager PyTorch.
        """
        allowed = max(MAX_ERROR, self.ready.error)
        far = max(map(apart, self.outputs, found), default=0.0)
        if len(found) != len(self.outputs) or not far <= allowed:
            raise PrepareFailed(f"outputs of the loaded model changed by {far:.2g}")


class Account(NamedTuple):
    """What others can build on, and the peak and current memory of this instance in bytes.

    Batches that it has not run itself are included.
    """

    handover: HandedOver = HandedOver()
    memory: int = 0
    resident: int = 0


class Opened:
    """The memory of this instance before it runs its batches."""

    def __init__(self) -> None:
        process = os.getpid()
        self._resident, self._proportional = resident(process), proportional(process)
        self._peak = peak_memory()
        reset_peak_memory()

    def closed(self, serve: Serve, folder: str) -> Account:
        """Return the account once the batches that nobody had run have been run."""
        known = serve.handover
        grown = max(known.grown, proportional(os.getpid()) - self._proportional)
        peak = max(known.peak, peak_memory() - self._resident)
        batches = tuple(sorted({*known.batches, *serve.batches}))
        return Account(
            HandedOver(folder=folder, batches=batches, grown=grown, peak=peak),
            memory=max(self._peak, self._resident + peak),
            resident=self._proportional + grown,
        )


def apart(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the relative error of outputs [N, ...], as defined by ``Comparer``.

    Outputs that do not vary over N are scaled by their magnitude. The error is infinite if shapes,
    types, integers or the places of NaN and infinity differ.
    """
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return np.inf
    if expected.dtype.kind not in "fc" or not expected.size:
        return 0.0 if np.array_equal(expected, found) else np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return np.inf
    wide = np.where(finite, expected, 0).astype(np.result_type(expected, np.float64))
    difference = float(np.abs(np.where(finite, found, 0) - wide).max())
    spread = float(np.abs(wide - wide.mean(0)).max())
    size = float(np.abs(wide).max())
    scale = spread if spread > LEAST_SPREAD * size else size
    if not difference:
        return 0.0
    return difference / scale if scale else np.inf


def _is_there(path: Path, cache: Cache) -> bool:
    return cache.holds(path.parent) if cache.root in path.parents else path.is_file()
