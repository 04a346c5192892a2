"""Optimizations that run in OpenVINO."""
