"""Warnings of libraries that say nothing about the model."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_deprecation() -> Iterator[None]:
    """Without the word that TorchScript is deprecated, which torch's own modules cause, too."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore",
            message=r"`torch\.jit\.\w+` is (deprecated|not supported)",
            category=DeprecationWarning,
        )
        yield
