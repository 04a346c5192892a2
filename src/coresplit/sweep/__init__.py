"""The sweep: which cell to visit next, for how long, and when to stop.

runner.Sweep   the loop; the only part with a clock, instances and a sink
schedule       which cells to visit next, side by side (pure)
order          which instances to prepare first or to restart (pure)
preparing      prepares instances in slices of time
forecast       how many cells a budget will reach (pure)
cell_state     the visits of a cell so far, and its verdict
memory_limit   which batches would not fit in memory (pure)
pool           the instances that are alive
finish         estimates for cells that were not reached (pure)
"""

from coresplit.sweep.forecast import Forecast, forecast
from coresplit.sweep.grid import anchor_of, cells_of
from coresplit.sweep.order import Effort, Efforts, in_order
from coresplit.sweep.pool import Key, Started, close_all, key_of, probe
from coresplit.sweep.progress import Outcome, Progress, Sink
from coresplit.sweep.runner import Sweep

__all__ = [
    "Effort",
    "Efforts",
    "Forecast",
    "Key",
    "Outcome",
    "Progress",
    "Sink",
    "Started",
    "Sweep",
    "anchor_of",
    "cells_of",
    "close_all",
    "forecast",
    "in_order",
    "key_of",
    "probe",
]
