"""Read, check and write published latency tables."""
