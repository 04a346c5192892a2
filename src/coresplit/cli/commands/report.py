"""``coresplit report``."""

from pathlib import Path

import click

from coresplit import store
from coresplit.cli.app import Command
from coresplit.cli.output import say, tell, warn
from coresplit.cli.types import Names, RunFolder
from coresplit.workflows.reporting import FORMATS, build_pages


@click.command(cls=Command)
@click.argument("runs", type=RunFolder(), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--format",
    "formats",
    type=Names("format", lambda: FORMATS, FORMATS),
    default=",".join(FORMATS),
    show_default=True,
    metavar="LIST",
    help="Formats to write.",
)
def command(runs: tuple[Path, ...], formats: tuple[str, ...]) -> None:
    """Rebuild the pages, pictures and tables of each RUN in its report folder, without torch."""
    for path in runs:
        run = store.load(path)
        for line in run.warnings:
            warn(line)
        say(f"building the report of {path}")
        tell(str(build_pages(run, path / "report", formats)))
