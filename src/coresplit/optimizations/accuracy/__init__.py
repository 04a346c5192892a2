"""Whether an optimization computes the same outputs, and the error of a lossy one."""
