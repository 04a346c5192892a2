"""The user's models: files, hubs and code."""
