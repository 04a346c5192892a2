"""Which optimization to choose."""
