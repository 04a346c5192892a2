"""The command line: one module per command; only this package prints, reads argv or exits."""

from coresplit.cli.app import main

__all__ = ["main"]
