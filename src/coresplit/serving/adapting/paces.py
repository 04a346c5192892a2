"""How much slower than predicted each candidate computes; pure.

A candidate can be slower than its profile because the machine is slower now, which others would
notice too, or for reasons of its own, such as memory that its processes were given. Only one
candidate serves at a time, so what changes while it serves is taken for the machine, and what
changes from one candidate to the next for the next one's own.
"""

from collections.abc import Iterable

_WEIGHT = 0.02
"""Of one batch in the exponential averages."""
_LEARNING = 100
"""So many batches after a switch teach the candidate's own pace."""
_LEAST, _MOST = 0.25, 4.0
_SAME = 0.1
"""A change by less is taken for noise: following it would cost more than it brings."""


class Paces:
    """Ratios of real to predicted times."""

    def __init__(self, names: Iterable[str]) -> None:
        self._machine = 1.0
        self._own = dict.fromkeys(names, 1.0)
        self._told = dict(self._own)
        self._learning = 0

    def took(self, name: str, ratio: float) -> None:
        """A batch of the serving candidate took so many times its predicted time."""
        ratio = min(max(ratio, _LEAST), _MOST)
        if self._learning:
            self._learning -= 1
            self._own[name] += _WEIGHT * (ratio / self._machine - self._own[name])
        else:
            self._machine += _WEIGHT * (ratio / self._own[name] - self._machine)

    def switched(self) -> None:
        """Another candidate serves from now on."""
        self._learning = _LEARNING

    def of(self, name: str) -> float:
        """Return the expected ratio of a candidate."""
        return self._machine * self._own[name]

    def news(self) -> dict[str, float]:
        """Return the expected ratios that have changed much since they were last returned."""
        ratios = {name: self.of(name) for name in self._own}
        changed = {
            name: ratio
            for name, ratio in ratios.items()
            if abs(ratio / self._told[name] - 1) > _SAME
        }
        self._told |= changed
        return changed
