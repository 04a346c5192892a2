"""Console output: results to stdout, everything else to stderr."""

import re
import sys
from typing import Any

import click
import msgspec

# valid in JSON without an escape, but a terminal may interpret them
_CONTROLS = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Replace control characters, which a run folder may contain, with question marks."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def tell(text: str) -> None:
    """Print a line of the result to stdout."""
    click.echo(plain(text))


def say(text: str) -> None:
    """Print a progress line to stderr, so that it never mixes with results."""
    click.echo(plain(text), err=True)


def warn(text: str) -> None:
    """Print a warning: something to know, not something to act on now."""
    say(f"warning: {text}")


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document to stdout and nothing else."""
    text = msgspec.json.format(msgspec.json.encode(document)).decode()
    sys.stdout.write(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
