"""``coresplit report``."""

from pathlib import Path

import click

from coresplit import store
from coresplit.cli.app import Command
from coresplit.cli.output import say, tell, warn
from coresplit.cli.pages import FORMATS, build_pages, parse_formats


@click.command(cls=Command)
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--format", "formats", default=",".join(FORMATS), show_default=True, help="What to write."
)
def command(runs: tuple[Path, ...], formats: str) -> None:
    """Rebuild pages, pictures and tables of each RUN into its folder report/. Needs no torch."""
    wanted = parse_formats(formats)
    for path in runs:
        run = store.load(path)
        for line in run.warnings:
            warn(line)
        say(f"building the report of {path}")
        tell(str(build_pages(run, path / "report", wanted)))
