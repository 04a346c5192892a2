"""Statistics over records: pure functions that know no clock, file or process."""
