"""Build the requests for a server and check its answers."""
