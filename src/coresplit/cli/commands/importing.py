"""``coresplit import``."""

import time
from pathlib import Path

import click

from coresplit import store
from coresplit.cli.app import Command
from coresplit.cli.output import say, tell, warn
from coresplit.workflows.reporting import build_pages


@click.command("import", cls=Command)
@click.argument(
    "tables", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="CSV..."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="New run folder.")
@click.option("--model", default=None, help="Name of the model, if not the one in the tables.")
@click.option("--no-report", is_flag=True, help="Write the run folder only.")
def command(tables: tuple[Path, ...], out: Path, model: str | None, no_report: bool) -> None:
    """Convert published CSV tables of one model into a run folder and build its report."""
    run = store.import_tables(tables, model, created_at=time.time())
    for line in run.warnings:
        warn(line)
    store.save(out, run)
    count = len(run.journal)
    splits = f" and {count} {'split' if count == 1 else 'splits'} that ran" if count else ""
    say(f"imported {len(run.measurements)} cells{splits} into {out}")
    tell(str(out if no_report else build_pages(run, out / "report")))
