"""The sweep: which cell is visited next, for how long, and when it is enough.

runner.Sweep   the loop; the only part with a clock, instances and a sink
choice         which cells next, side by side (pure)
restart        which instances are started anew (pure)
state          what is known of each cell so far, and its verdict
guard          which batches would not fit in memory (pure)
pool           the instances that are alive
finish         estimates for what was not reached (pure)
"""

from coresplit.sweep.grid import anchor_of, cells_of
from coresplit.sweep.launch import Launcher
from coresplit.sweep.progress import Outcome, Progress, Sink
from coresplit.sweep.runner import Sweep

__all__ = ["Launcher", "Outcome", "Progress", "Sink", "Sweep", "anchor_of", "cells_of"]
