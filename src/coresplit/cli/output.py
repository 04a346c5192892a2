"""Where words go: results to stdout, all else to stderr."""

import sys
from typing import Any

import click
import msgspec


def say(text: str) -> None:
    """A line about what is going on; never mixed into results."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """A line about something the user should know but need not act on now."""
    say(f"warning: {text}")


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout, and nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document)).decode() + "\n")
