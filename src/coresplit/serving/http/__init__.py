"""HTTP/1.1 server for bodies of megabytes, received directly into the memory that is read later.

heads        request heads, parsed by llhttp
bodies       request bodies as they arrive
connection   one connection: reads requests, sends answers in order
server       all connections: accepting, timeouts, draining
"""
