"""The networks that coresplit writes itself, with their weights."""
