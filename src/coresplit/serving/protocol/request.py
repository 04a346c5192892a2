"""An inference request, parsed but with no tensor read yet."""

import msgspec

DEEPEST = 100
"""Deepest JSON nesting accepted: a request needs a few levels more than a tensor has dimensions."""


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="raw"):
    """An input in the binary format: ``size`` bytes of the body from ``offset``."""

    offset: int
    size: int


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text"):
    """An input as a JSON list, flat or nested: ``size`` bytes of the body from ``offset``.

    It is valid JSON. The number and type of its values are not checked yet.
    """

    offset: int
    size: int


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A requested output: its index in the signature, and whether to send it as binary data."""

    name: str
    index: int
    binary: bool


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A parsed inference request.

    ``inputs`` are in the order of the signature, ``outputs`` in that of the answer. ``timeout_us``
    is None if the request sets no limit. ``id`` may be empty.
    """

    id: str = ""
    rows: int
    inputs: tuple[Raw | Text, ...]
    outputs: tuple[Wanted, ...]
    timeout_us: int | None = None
