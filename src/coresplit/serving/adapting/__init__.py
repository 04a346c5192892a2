"""Choosing instances by the load: simulate, estimate and decide; pure, without a clock."""
