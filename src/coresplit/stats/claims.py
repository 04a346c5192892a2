"""The differences between cells that a run supports, tested family by family; pure."""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import combinations

import msgspec

from coresplit.records import Cell, Run
from coresplit.stats.contention import doubt
from coresplit.stats.difference import LEVEL, Contrast, Relation, between, contrast, decide
from coresplit.stats.fitting import variance_of
from coresplit.stats.summary import Point, point_of
from coresplit.stats.variance import Variance, VisitValue, visit_values

Pair = tuple[Cell, Cell]


class Claims:
    """Decides how the throughputs of two cells of a run compare.

    Pairs that answer the same question form a family, over which false discoveries are controlled:
    all pairs that differ only in optimization, mapping or allocator, all that differ only in
    threads, and all that differ only in the batch. Any other pair is corrected for the number of
    all pairs (Bonferroni), because it was picked from among them.
    """

    def __init__(self, run: Run) -> None:
        self.variance: Variance = variance_of(run)
        self.points: dict[Cell, Point] = {}
        self._values: dict[Cell, Sequence[VisitValue]] = {}
        for item in run.measurements:
            point = point_of(item, self.variance)
            if point is not None:
                self.points[item.cell] = point
                # for a disturbed cell, only the widened location counts
                self._values[item.cell] = () if doubt(item) else visit_values(item)
        self._families: dict[str, dict[Pair, Relation]] = {}

    def relation(self, first: Cell, second: Cell) -> Relation:
        """How the throughput of the first compares with that of the second.

        Raises KeyError for a cell without a value.
        """
        if first == second:
            return "equivalent"
        for name, question in _QUESTIONS.items():
            if question(first) == question(second):
                family = self._family(name)
                if (first, second) in family:
                    return family[first, second]
                return _INVERSE[family[second, first]]
        count = math.comb(len(self.points), 2)
        return decide([self.contrast(first, second)], LEVEL / max(1, count))[0]

    def leads(self, first: Cell, second: Cell) -> bool:
        """True if the first, picked as the best of its rivals, is shown to be faster than one.

        The winner is what people read first. If other cells are clearly slower, controlling only
        the false discovery rate of the family would let too many near ties pass as wins. So this
        corrects for the number of all pairs of the family (Bonferroni).
        """
        count = max(1, len(self._family("variants")))
        return decide([self.contrast(first, second)], LEVEL / count)[0] == "faster"

    def contrast(self, first: Cell, second: Cell) -> Contrast:
        """Return the throughput of the first over that of the second.

        Raises KeyError for a cell without a value.
        """
        inputs = first.batch / second.batch
        own, other = self._values[first], self._values[second]
        if own and other:
            return contrast(own, other, self.variance, inputs)
        found = between(self.points[first].location, self.points[second].location)
        return msgspec.structs.replace(found, log=found.log + math.log(inputs))

    def _family(self, name: str) -> dict[Pair, Relation]:
        if name not in self._families:
            pairs = list(_pairs(self.points, _QUESTIONS[name]))
            decided = decide([self.contrast(*pair) for pair in pairs])
            self._families[name] = dict(zip(pairs, decided, strict=True))
        return self._families[name]


_QUESTIONS: dict[str, Callable[[Cell], Hashable]] = {
    "variants": lambda cell: (cell.threads, cell.batch, cell.setting),
    "threads": lambda cell: msgspec.structs.replace(cell, threads=1),
    "batches": lambda cell: msgspec.structs.replace(cell, batch=1),
}
"""What the two cells of a pair of each family have in common."""

_INVERSE: dict[Relation, Relation] = {
    "faster": "slower",
    "slower": "faster",
    "equivalent": "equivalent",
    "unclear": "unclear",
}


def _pairs(cells: Iterable[Cell], common: Callable[[Cell], Hashable]) -> Iterator[Pair]:
    groups: dict[Hashable, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[common(cell)].append(cell)
    for members in groups.values():
        yield from combinations(members, 2)
