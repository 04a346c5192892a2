"""The page of a load test of a server."""
