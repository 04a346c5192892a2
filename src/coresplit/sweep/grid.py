"""The cells of the grid that settings describe."""

from itertools import product

import msgspec

from coresplit.records import Cell, Settings

ANCHOR_BATCH = 4


def cells_of(settings: Settings) -> tuple[Cell, ...]:
    """Every cell of the grid, in the order of the settings.

    Packed cells need at least two copies that fit on the cores: one copy is an isolated cell.
    Together the copies take no more inputs than the largest batch.
    """
    return tuple(
        Cell(
            optimization=optimization,
            threads=threads,
            batch=batch,
            mapping=mapping,
            allocator=allocator,
            setting=setting,
        )
        for mapping, allocator, setting, optimization, threads, batch in product(
            settings.mappings,
            settings.allocators,
            settings.settings,
            settings.optimizations,
            settings.threads,
            settings.batches,
        )
        if setting == "isolated" or _packs(settings, threads, batch)
    )


def copies_of(cell: Cell, settings: Settings) -> int:
    """How many instances run at once when the cell is measured."""
    return 1 if cell.setting == "isolated" else settings.cores // cell.threads


def _packs(settings: Settings, threads: int, batch: int) -> bool:
    copies = settings.cores // threads
    return copies > 1 and batch * copies <= max(settings.batches)


def anchors_of(settings: Settings) -> tuple[Cell, ...]:
    """The anchor of the settings, then its replacements: the same cell in other optimizations."""
    if settings.anchor is None:
        return ()
    names = dict.fromkeys([settings.anchor.optimization, *reversed(settings.optimizations)])
    return tuple(msgspec.structs.replace(settings.anchor, optimization=name) for name in names)


def anchor_of(settings: Settings) -> Cell:
    """The cell to repeat throughout the sweep: last optimization, most threads, small batch."""
    small = [batch for batch in settings.batches if batch <= ANCHOR_BATCH]
    batch = max(small, default=settings.batches[0])
    on_batch = [cell for cell in cells_of(settings) if cell.batch == batch]
    wanted = (settings.optimizations[-1], settings.threads[-1])
    return next(cell for cell in on_batch if (cell.optimization, cell.threads) == wanted)
