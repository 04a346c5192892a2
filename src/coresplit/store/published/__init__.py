"""Published latency tables: read, checked and written."""
