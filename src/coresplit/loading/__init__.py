"""Loading a model server: when requests are due, sending them, and what came of it.

arrivals     when requests are due; ``shapes`` how a rate over time is written (pure)
asked        what to send to whom, and how much
wire         HTTP from the side of the client
protocols    what is sent to a server, and what its answers must be
driver       sends what is due; ``timer`` rings, ``tally`` counts, ``percentiles`` has latencies
watch        asks the server how its model is split
one          one load, from what is asked to what it showed
process      the pinned process that does it
"""
