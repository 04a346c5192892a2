"""``coresplit list``."""

import click

from coresplit import models as models_room
from coresplit.cli.output import print_json
from coresplit.optimizations import OPTIMIZATIONS, usable


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List models and optimizations: usable here, or what to install."""
    models = [
        {"name": each.name, "what": each.description, "missing": models_room.usable(each.name)}
        for each in models_room.MODELS.values()
    ]
    optimizations = [
        {"name": each.name, "what": each.description, "missing": usable(each.name)}
        | {"lossy": each.lossy}
        for each in OPTIMIZATIONS.values()
    ]
    if as_json:
        print_json({"models": models, "optimizations": optimizations})
        return
    for heading, rows in (("models", models), ("\noptimizations", optimizations)):
        click.echo(heading)
        for row in rows:
            lossy = ", lossy" if row.get("lossy") else ""
            click.echo(f"  {row['name']:<14}{row['what']}{lossy}")
            if row["missing"] is not None:
                click.echo(click.style(f"  {'':<14}not usable: {row['missing']}", fg="yellow"))
