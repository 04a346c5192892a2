"""Serving a split: requests are queued, divided over pinned instances, and answered.

http       connections and the bodies of requests, which are received where instances read them
protocol   the Open Inference Protocol: what requests and answers say (pure)
dividing   which instance may take how many rows next (pure)
sizing     how many of them it takes, for those who wait to lose least (pure)
queue      requests that wait, whole or in parts (pure)
sets       which instances serve together, and what a change keeps (pure)
crew       all instances: started, listened to, replaced, let go
engine     one set at work: dispatch, deadlines
switching  another set takes over, and who may ask for it
app        what is answered to whom
metrics    what is counted, for Prometheus and for the statistics of the protocol
"""
