"""Running a planned split beside its rivals, as real pinned instances."""
