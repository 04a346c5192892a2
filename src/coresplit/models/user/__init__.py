"""The user's own models: files, hubs and code."""
