"""The HTTP client: address, request, connection, and pool of connections."""
