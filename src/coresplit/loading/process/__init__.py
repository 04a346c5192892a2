"""The process that loads a server: its code, its messages and its parent's side."""
