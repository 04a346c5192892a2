"""Settings of the dispatch."""

import math

import msgspec

PATIENCE, SLACK_S = 5.0, 30.0
"""A batch may take ``PATIENCE`` times its expected latency plus ``SLACK_S`` seconds."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are dispatched; times in seconds.

    An instance takes fewer rows if its forward would exceed ``limit_s``. With ``batch_timeout_s``,
    requests wait that long for others unless all idle instances can be filled.
    """

    most_requests: int = 1000
    limit_s: float = math.inf
    batch_timeout_s: float = 0.0
    slack_s: float = SLACK_S
    patience: float = PATIENCE
