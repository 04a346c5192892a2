"""Measure how a neural network scales over a CPU's cores, and report it honestly."""

__version__ = "0.1.0"
