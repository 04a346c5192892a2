"""The best optimization for every <threads, batch>, lossless and lossy apart; pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from coresplit.analysis.rows import Derived, Row, ratio_of
from coresplit.analysis.view import RunView
from coresplit.stats.lossy import states_losses, unchecked_of

Kind = Literal["lossless", "lossy", "any"]


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best at one place, the rows tied with it, and its gain over the baseline there."""

    row: Row
    tied: tuple[Row, ...]
    gain: Derived | None

    @property
    def sole(self) -> bool:
        """True if it is shown to be faster than every other optimization there."""
        return all(row.cell.optimization == self.row.cell.optimization for row in self.tied)

    @property
    def guessed(self) -> bool:
        """True if there were only estimates to choose from."""
        return self.row.verdict == "estimated"


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """All places of one kind of choice: the best by <threads, batch>, and their candidates.

    ``wins`` has every optimization that leads somewhere, and the number of places where it is
    shown to be the fastest.
    """

    kind: Kind
    best: dict[tuple[int, int], Best]
    rows: tuple[Row, ...]
    wins: tuple[tuple[str, int], ...]

    @property
    def title(self) -> str:
        """What is chosen, in headings and sentences: ``best lossless choice``."""
        return f"best {self.kind} choice" if self.kind != "any" else "best choice"


def rankings_of(view: RunView) -> tuple[Ranking, ...]:
    """The lossless ranking, then the lossy one; empty if there is nothing to choose from.

    If the run does not state which optimizations are lossy, one ranking has all of them. If some
    outputs were not checked, the first ranking has all that are not known to be lossy, and its
    kind is ``any``.

    An estimate wins only if there is nothing else. If the best optimization is tied over allocators
    and mappings, the default is named: another one must be shown to be better. Packed cells are
    left out if there are others, because they answer another question.
    """
    if not view.groups:
        return ()
    setting = view.groups[0].setting
    rows = tuple(row for row in view.rows if row.cell.setting == setting)
    if len({row.cell.variant for row in rows}) < 2:
        return ()
    base = {place_of_row(r): r for r in view.groups[0].rows if r.cell.optimization == view.base}
    exact = {row.cell.optimization for row in rows if not row.lossy}
    proven = states_losses(view.run) and not exact & set(unchecked_of(view.run))
    first: Kind = "lossless" if proven else "any"
    kinds: tuple[tuple[Kind, bool], ...] = ((first, False), ("lossy", True))
    found = []
    for kind, lossy in kinds:
        if own := tuple(row for row in rows if row.lossy == lossy):
            found.append(_contest(kind, own, base, view))
    return tuple(found)


def _contest(
    kind: Kind, rows: tuple[Row, ...], base: dict[tuple[int, int], Row], view: RunView
) -> Ranking:
    by_place: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        by_place.setdefault(place_of_row(row), []).append(row)
    best = {}
    for place, own in sorted(by_place.items()):
        firm = [row for row in own if row.verdict != "estimated"] or own
        leader = min(firm, key=lambda row: (-row.throughput, row.cell))
        level = [
            row for row in own if row is leader or not view.claims.leads(leader.cell, row.cell)
        ]
        level.sort(key=lambda row: (row is not leader, -row.throughput, row.cell))
        top = simplest([r for r in level if r.cell.optimization == leader.cell.optimization])
        best[place] = Best(
            row=top,
            tied=tuple(row for row in level if row is not top),
            gain=ratio_of(top, base[place], view.claims, view.base) if place in base else None,
        )
    leads = Counter(one.row.cell.optimization for one in best.values())
    wins = Counter(one.row.cell.optimization for one in best.values() if one.sole)
    ranked = sorted(leads, key=lambda o: (-wins[o], -leads[o], view.order.index(o)))
    return Ranking(kind=kind, best=best, rows=rows, wins=tuple((o, wins[o]) for o in ranked))


def simplest(rows: Sequence[Row]) -> Row:
    """Of tied rows of one optimization, best first, return the one with most defaults."""
    return max(rows, key=lambda row: row.cell.variant.defaults)


def place_of_row(row: Row) -> tuple[int, int]:
    """Threads and batch of a row."""
    return row.cell.threads, row.cell.batch
