"""A request for inference, as it is known before any tensor is read."""

import msgspec

DEEPEST = 100
"""Nesting of JSON that is read: no request needs more than a tensor has dimensions, and some."""


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="raw"):
    """An input in the binary format: ``size`` bytes of the body from ``offset``."""

    offset: int
    size: int


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="text"):
    """An input as a JSON list, flat or nested: ``size`` bytes of the body from ``offset``.

    It is valid JSON. How many numbers it holds, and of which type, is not known yet.
    """

    offset: int
    size: int


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output to be sent: its place in the signature, and whether as binary data."""

    name: str
    index: int
    binary: bool


class InferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is asked for.

    ``inputs`` are in the order of the signature, ``outputs`` in that of the answer. ``timeout_us``
    is None where the request sets no limit. ``id`` may be empty.
    """

    id: str = ""
    rows: int
    inputs: tuple[Raw | Text, ...]
    outputs: tuple[Wanted, ...]
    timeout_us: int | None = None
