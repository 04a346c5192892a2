"""What disturbs measurements on this machine, and the remedies."""
