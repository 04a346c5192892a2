"""Student's t distribution and the functions it needs; pure."""

import math
from functools import lru_cache

_TINY = 1e-300
_ACCURACY = 1e-14
_MOST_STEPS = 500
NORMAL_FROM = 1e6
"""Degrees of freedom from which t is treated as normal."""


@lru_cache(maxsize=65536)
def two_sided(t: float, df: float) -> float:
    """Probability that |T| exceeds ``t`` with ``df`` degrees of freedom, which may be infinite.

    By the incomplete beta function: I(df / (df + t^2); df / 2, 1 / 2) (Abramowitz & Stegun,
    Handbook of Mathematical Functions, 26.7.1 and 26.5.27).
    """
    if df >= NORMAL_FROM:
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(df / 2, 0.5, df / (df + t * t))


@lru_cache(maxsize=65536)
def quantile(confidence: float, df: float) -> float:
    """The t within which |T| lies with probability ``confidence``, by bisection."""
    low, high = 0.0, 1.0
    while two_sided(high, df) > 1 - confidence and high < 1e12:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if two_sided(middle, df) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularized incomplete beta function I(x; a, b).

    By its continued fraction (Abramowitz & Stegun, 26.5.8), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    log_front = (
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            c, d = _away(1 + term / c), 1 / _away(1 + term * d)
            fraction *= c * d
        if abs(c * d - 1) < _ACCURACY:
            break
    return math.exp(log_front) * fraction / a


def _away(value: float) -> float:
    """The value, or a tiny number if dividing by the value would fail."""
    return value if abs(value) > _TINY else _TINY
