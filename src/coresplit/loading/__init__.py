"""Load a model server: schedule requests, send them and summarize the answers.

arrivals     when requests are due; ``shapes`` parses a rate over time (pure)
asked        the options of a load: server, requests, rate and duration
wire         the HTTP client
protocols    builds requests and checks answers, by protocol
driver       sends requests when due, with ``timer``, ``tally`` (counts) and ``percentiles``
watch        asks the server how its model is split
one          runs one load, from its options to its summary
process      the pinned process that runs loads
"""
