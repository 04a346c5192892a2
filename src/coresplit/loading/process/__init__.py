"""The process that loads a server: what it does, what it is told, and whoever starts it."""
