"""HTTP/1.1 for bodies of megabytes: received where they are read, in order, within limits.

heads        a head, read by llhttp
bodies       a body as it arrives
connection   one connection: requests in, answers out in order
server       all connections: accepting, timeouts, draining
"""
