"""Other ways to find the best split, slow and plain, to hold the solver against."""

from collections.abc import Iterator, Mapping

Cell = tuple[int, int]
Latencies = Mapping[Cell, float]


def every_split(latencies: Latencies, cores: int, batch: int) -> Iterator[tuple[Cell, ...]]:
    """All multisets of cells that make up ``batch`` on at most ``cores``, each sorted."""

    def extend(chosen: tuple[Cell, ...], cores: int, batch: int) -> Iterator[tuple[Cell, ...]]:
        if batch == 0:
            yield chosen
        for threads, size in sorted(latencies):
            ordered = not chosen or (threads, size) >= chosen[-1]
            if ordered and threads <= cores and size <= batch:
                yield from extend((*chosen, (threads, size)), cores - threads, batch - size)

    yield from extend((), cores, batch)


def best_of_all(latencies: Latencies, cores: int, batch: int) -> tuple[Cell, ...] | None:
    """The best of all splits in the order of preference, by looking at every one."""
    return min(
        every_split(latencies, cores, batch),
        key=lambda cells: (
            max(latencies[cell] for cell in cells),
            sum(threads for threads, _ in cells),
            len(cells),
            sum(latencies[cell] for cell in cells),
            cells,
        ),
        default=None,
    )


def lowest_latency(latencies: Latencies, cores: int, batch: int) -> float:
    """The optimum of a table over cores and batch, filled cell by cell; inf where there is none.

    Bhardwaj et al., ICML 2025, section 3.3, with the maximum of the latencies as the cost.
    """
    table = [[float("inf")] * (batch + 1) for _ in range(cores + 1)]
    for row in table:
        row[0] = 0.0
    for used in range(1, cores + 1):
        for total in range(1, batch + 1):
            best = table[used - 1][total]
            for (threads, size), latency in latencies.items():
                if threads <= used and size <= total:
                    best = min(best, max(latency, table[used - threads][total - size]))
            table[used][total] = best
    return table[cores][batch]
