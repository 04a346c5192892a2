"""How an instance is made, regardless of its threads and batch."""

from typing import Literal

import msgspec

Mapping = Literal["sequential", "interleave"]


class Variant(msgspec.Struct, frozen=True, order=True):
    """Optimization, mapping and allocator of an instance; ordered by them."""

    optimization: str
    mapping: Mapping = "sequential"
    allocator: str = "default"

    @property
    def placing(self) -> str:
        """Allocator and mapping if they are not the default: ``tcmalloc, interleave``."""
        extra = [self.allocator] if self.allocator != "default" else []
        return ", ".join(extra + ([self.mapping] if self.mapping != "sequential" else []))

    @property
    def defaults(self) -> int:
        """How many of the allocator and the mapping are the default."""
        return (self.allocator == "default") + (self.mapping == "sequential")

    def __str__(self) -> str:
        """Optimization, and what is not the default: ``script with tcmalloc, interleave``."""
        return f"{self.optimization} with {self.placing}" if self.placing else self.optimization
