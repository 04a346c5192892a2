"""What is sent to a server, and what its answers must be."""
