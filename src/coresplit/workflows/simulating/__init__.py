"""Simulate a load on other instances: the request, the replay and the output."""
