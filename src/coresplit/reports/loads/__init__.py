"""The page of a load: what a server did under it."""
