"""Find what disturbs measurements on this machine, and suggest remedies."""
