"""Statistics over records: pure functions that use no clock, file or process."""
