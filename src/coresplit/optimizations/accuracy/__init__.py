"""Whether an optimization computes the same, and how far a lossy one is off."""
