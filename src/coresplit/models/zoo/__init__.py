"""The built-in networks and their weights."""
