"""The command line: one file a command, and the only room that prints, reads argv or exits."""

from coresplit.cli.app import main

__all__ = ["main"]
