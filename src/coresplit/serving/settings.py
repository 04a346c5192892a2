"""How requests are dispatched."""

import math

import msgspec

PATIENCE, SLACK_S = 5.0, 30.0
"""A batch may take so many times what is expected, and so many seconds more."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are dispatched; times in seconds.

    An instance takes fewer rows than it could where ``limit_s`` would be passed. With
    ``batch_timeout_s`` a request waits for others so long unless all idle instances can be filled.
    """

    most_requests: int = 1000
    limit_s: float = math.inf
    batch_timeout_s: float = 0.0
    slack_s: float = SLACK_S
    patience: float = PATIENCE
