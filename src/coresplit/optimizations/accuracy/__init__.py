"""Check that an optimization computes the same outputs, and measure the error of a lossy one."""
