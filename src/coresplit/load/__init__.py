"""Loading a model server: when requests are due, sending them, and what came of it.

arrivals   when requests are due (pure)
shapes     how a rate over time is written (pure)
"""
