"""Import table rows of instances that ran at the same time, as verifications."""

from collections.abc import Iterator, Sequence

import msgspec

from coresplit.errors import TableError
from coresplit.records import Configuration, Published, Split, Trial, Verification, split_of
from coresplit.store.published.rows import Row, Table


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration: the rows of its instances, and how many are not in the table."""

    rows: tuple[Row, ...]
    split: Split
    missing: int

    @property
    def trial(self) -> Trial:
        """Its name and the published latencies of its slowest instance."""
        name: Configuration = "fat" if self.split.count == 1 else "split"
        stated = [row.published for row in self.rows if row.published is not None]
        slowest = Published(
            minimum=max(each.minimum for each in stated),
            mean=max(each.mean for each in stated),
            maximum=max(each.maximum for each in stated),
        )
        return Trial(name=name, split=self.split, published=slowest, missing=self.missing)


def verifications(
    tables: Sequence[Table], most_threads: int, notes: list[str]
) -> tuple[Verification, ...]:
    """Return what ran, in table order: each split with one instance of the same batch, if any.

    ``most_threads`` is the maximum of the cells imported with them. ``notes`` gets a line for each
    table that lacks instances. Raises TableError with file and line if rows make no split.
    """
    found: list[tuple[Ran, ...]] = []
    for table in tables:
        for row in table.rows:
            if row.published is None:
                raise TableError(
                    f"{row.place}: the throughput of instances that ran together does not show "
                    "when the last one finished; import the table of their latencies"
                )
        ran = list(_configurations(table))
        if missing := sum(each.missing for each in ran):
            lacking = "1 instance" if missing == 1 else f"{missing} instances"
            notes.append(
                f"{table.file} lacks {lacking} of the splits that ran; the slowest "
                "instance in the table is used for each split"
            )
        found += _paired(ran)
    cores = max([most_threads, *(each.split.cores for pair in found for each in pair)])
    return tuple(_verification(pair, place, cores) for place, pair in enumerate(found))


def _verification(pair: Sequence[Ran], place: int, cores: int) -> Verification:
    cell, (first, *others) = pair[0].rows[0].cell, [each.trial for each in pair]
    return Verification(
        at=float(place),
        optimization=cell.optimization,
        mapping=cell.mapping,
        allocator=cell.allocator,
        setting="isolated",
        cores=cores,
        batch=first.split.batch,
        trials=(msgspec.structs.replace(first, name="split"), *others),
    )


def _paired(ran: Sequence[Ran]) -> Iterator[tuple[Ran, ...]]:
    """Yield every split with the one instance of the same batch above it, if there is one."""
    alone: Ran | None = None
    for each in ran:
        if alone is not None and _same(alone, each) and each.split.count > 1:
            yield each, alone
            alone = None
            continue
        if alone is not None:
            yield (alone,)
        alone = each if each.split.count == 1 else None
        if alone is None:
            yield (each,)
    if alone is not None:
        yield (alone,)


def _same(one: Ran, other: Ran) -> bool:
    """True if two were measured under the same conditions for the same batch."""
    return _kind(one.rows[0]) == _kind(other.rows[0]) and one.split.batch == other.split.batch


def _kind(row: Row) -> tuple[str, str, str]:
    return row.cell.optimization, row.cell.mapping, row.cell.allocator


def _configurations(table: Table) -> Iterator[Ran]:
    most = _cores(table.rows)
    batch, kind = 0, _kind(table.rows[0])
    for rows in _grouped(table.rows, most):
        if _kind(rows[0]) != kind:
            batch, kind = 0, _kind(rows[0])
        ran = _ran(rows, batch)
        if ran.split.count == 1:
            batch = ran.split.batch
        yield ran


def _cores(rows: Sequence[Row]) -> int:
    """Return the most threads that ran at once: those of the largest instance, or of its copies."""
    most = max(row.cell.threads for row in rows)
    return most * max(1, *(row.instance for row in rows if row.cell.threads == most))


def _grouped(rows: Sequence[Row], most: int) -> Iterator[tuple[Row, ...]]:
    """Yield the rows of one configuration after the other.

    A new one begins if the conditions change, an instance number repeats, there would be more
    threads than ``most``, the cores, or around number 0, which ran alone.
    """
    group: list[Row] = []
    for row in rows:
        if group and not _joins(row, group, most):
            yield tuple(group)
            group = []
        group.append(row)
    yield tuple(group)


def _joins(row: Row, group: Sequence[Row], most: int) -> bool:
    first = group[0]
    if _kind(row) != _kind(first) or row.instances != first.instances:
        return False
    if 0 in (row.instance, first.instance) or row.instance in [each.instance for each in group]:
        return False
    if row.instances is not None:
        return True
    return sum(each.cell.threads for each in group) + row.cell.threads <= most


def _ran(rows: tuple[Row, ...], batch: int) -> Ran:
    """Return one configuration; ``batch`` is that of the one instance above it, 0 if none.

    The number of equal instances is what the table states, else what makes up the batch, else
    their highest number.
    """
    cells = [(row.cell.threads, row.cell.batch) for row in rows]
    highest = max(row.instance for row in rows)
    if highest == 0:
        return Ran(rows=rows, split=split_of(cells), missing=0)
    count = max(rows[0].instances or 0, highest)
    if count > len(rows) or rows[0].instances is None:
        if len(set(cells)) > 1 and count > len(rows):
            raise TableError(
                f"{rows[0].place}: instance_id: {len(rows)} different instances, numbered up to "
                f"{highest}, so some are missing and it is unclear which; remove these rows"
            )
        whole, rest = divmod(batch, rows[0].cell.batch)
        if len(set(cells)) == 1 and not rest and whole > count > 1:
            count = whole
    split = split_of([*cells, *cells[:1] * (count - len(cells))])
    return Ran(rows=rows, split=split, missing=count - len(cells))
