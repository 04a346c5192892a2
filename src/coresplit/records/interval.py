"""A value with its interval."""

import msgspec


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A latency in seconds with its interval: of 95 % if it was measured, else as expected.

    In run folders the value has the key ``latency``.
    """

    low: float
    value: float = msgspec.field(name="latency")
    high: float
