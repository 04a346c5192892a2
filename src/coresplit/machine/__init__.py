"""This machine: its hardware, its limits, and its counters during timed work."""
