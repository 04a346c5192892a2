"""Insert the help of every command and the stable names into the pages."""

import click
from mkdocs.structure.pages import Page

import coresplit
from coresplit.cli.app import COMMANDS, app

HELP, NAMES = "<!-- commands -->", "<!-- names -->"
WIDTH = 80


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace the markers in a page."""
    if HELP in markdown:
        markdown = markdown.replace(HELP, commands())
    return markdown.replace(NAMES, ", ".join(f"`{name}`" for name in coresplit.__all__))


def commands() -> str:
    """Return a heading and the help for every command."""
    top = click.Context(app, info_name="coresplit", terminal_width=WIDTH)
    parts = []
    for name in COMMANDS:
        command = app.get_command(top, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=top, terminal_width=WIDTH)
        parts.append(f"## coresplit {name}\n\n```text\n{command.get_help(own)}\n```\n")
    return "\n".join(parts)
