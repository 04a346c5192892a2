"""What a run shows of its cells: every difference that may be named, family by family; pure."""

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
    """Decides how the throughputs of two cells of a run stand to each other.

    Pairs that answer one question are one family, over which false discoveries are controlled:
    all that differ in optimization, mapping or allocator alone, all that differ in threads alone,
    all that differ in the batch alone. Any other pair must hold against the number of all pairs
    there are (Bonferroni), as it was picked from among them.
    """

    def __init__(self, run: Run) -> None:
        self.variance: Variance = variance_of(run)
        self.points: dict[Cell, Point] = {}
        self._values: dict[Cell, Sequence[VisitValue]] = {}
        for item in run.measurements:
            point = point_of(item, self.variance)
            if point is not None:
                self.points[item.cell] = point
                # of a cell that was disturbed only the widened location counts
                self._values[item.cell] = () if doubt(item) else visit_values(item)
        self._families: dict[str, dict[Pair, Relation]] = {}

    def relation(self, first: Cell, second: Cell) -> Relation:
        """Whether the throughput of the first is shown to be higher or lower, or about the same.

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
        """Whether the first is shown to be faster than a rival that it is picked from among.

        Who wins is the claim that is read first, and where others are plainly slower, the false
        discovery rate of the family alone would let too many near ties pass for wins. So this
        holds against the number of all pairs of the family (Bonferroni).
        """
        count = max(1, len(self._family("variants")))
        return decide([self.contrast(first, second)], LEVEL / count)[0] == "faster"

    def contrast(self, first: Cell, second: Cell) -> Contrast:
        """How many times the throughput of the second the first has.

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
"""What two cells of a family have in common."""

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
