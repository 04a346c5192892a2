"""Load-test a server: the request, running it, and writing the results."""
