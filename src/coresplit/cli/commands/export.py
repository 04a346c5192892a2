"""``coresplit export``."""

from pathlib import Path

import click

from coresplit import store
from coresplit.cli.app import Command
from coresplit.cli.output import tell, warn
from coresplit.cli.types import RunFolder


@click.command(cls=Command)
@click.argument("run", type=RunFolder())
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the CSV.")
def command(run: Path, out: Path) -> None:
    """Write RUN as CSV tables in the published columns (milliseconds, inferences per second)."""
    loaded = store.load(run)
    for line in loaded.warnings:
        warn(line)
    tables = store.export_tables(loaded, out)
    for verdict, count in store.left_out(loaded).items():
        warn(f"{count} {verdict} cells are left out because the columns cannot mark them")
    for table in tables:
        tell(str(table))
