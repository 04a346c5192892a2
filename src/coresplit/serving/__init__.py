"""A server for a planned split."""
