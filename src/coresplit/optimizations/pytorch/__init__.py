"""Optimizations that run in PyTorch."""
