"""Serving a split: queue requests, divide them over pinned instances, and answer them.

http       connections and request bodies, which are received into memory that instances read
protocol   the Open Inference Protocol: parsing requests and writing answers (pure)
dividing   the most rows that each instance may take next (pure)
sizing     how many of those rows it takes, to minimize total waiting time (pure)
queue      waiting requests, whole or in parts (pure)
sets       instances that serve together, and which of them a change keeps (pure)
crew       all instances: start, listen, replace, end
engine     the active set: dispatch and deadlines
switching  changing the active set, and who may ask for it
app        the inference endpoints: which requests are accepted, and their answers
metrics    counters for Prometheus and for the statistics of the protocol
"""
