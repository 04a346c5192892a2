"""HTTP from the side of the client: a URL, a request, a connection, and all of them."""
