"""One point of the grid."""

from typing import Literal

import msgspec

from coresplit.records.variant import Mapping, Variant

Setting = Literal["isolated", "packed"]


class Cell(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, order=True):
    """One point of the grid; ordered by its fields as listed."""

    optimization: str
    threads: int
    batch: int
    mapping: Mapping = "sequential"
    allocator: str = "default"
    setting: Setting = "isolated"

    @property
    def variant(self) -> Variant:
        """The variant of its instance."""
        return Variant(self.optimization, self.mapping, self.allocator)

    def __str__(self) -> str:
        """Name the cell as progress lines and messages do; defaults are left out."""
        parts = [self.optimization, f"t={self.threads}", f"b={self.batch}"]
        for value, default in (
            (self.mapping, "sequential"),
            (self.allocator, "default"),
            (self.setting, "isolated"),
        ):
            if value != default:
                parts.append(value)
        return " ".join(parts)
