"""How latency and throughput scale over threads and batch."""
