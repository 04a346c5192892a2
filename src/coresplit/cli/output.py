"""Where words go: results to stdout, all else to stderr."""

import re
import sys
from typing import Any

import click
import msgspec

# JSON lets these stand as they are; a terminal may obey them
_CONTROLS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Text whose control characters, which a run folder may hold, reach no terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def tell(text: str) -> None:
    """A line of the result, on stdout."""
    click.echo(plain(text))


def say(text: str) -> None:
    """A line about what is going on; never mixed into results."""
    click.echo(plain(text), err=True)


def warn(text: str) -> None:
    """A line about something the user should know but need not act on now."""
    say(f"warning: {text}")


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout, and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
