"""Which instances the load wants: replayed, estimated and decided; pure, without a clock."""
