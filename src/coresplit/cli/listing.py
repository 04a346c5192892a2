"""``coresplit list``."""

import click

from coresplit.cli.output import print_json
from coresplit.models import MODELS
from coresplit.optimizations import OPTIMIZATIONS, usable


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List models and optimizations: usable here, or what to install."""
    missing = {name: usable(name) for name in OPTIMIZATIONS}
    if as_json:
        models = [{"name": each.name, "what": each.description} for each in MODELS.values()]
        optimizations = [
            {
                "name": each.name,
                "what": each.description,
                "lossy": each.lossy,
                "missing": missing[each.name],
            }
            for each in OPTIMIZATIONS.values()
        ]
        print_json({"models": models, "optimizations": optimizations})
        return
    click.echo("models")
    for model in MODELS.values():
        click.echo(f"  {model.name:<14}{model.description}")
    click.echo("\noptimizations")
    for optimization in OPTIMIZATIONS.values():
        lossy = ", lossy" if optimization.lossy else ""
        click.echo(f"  {optimization.name:<14}{optimization.description}{lossy}")
        reason = missing[optimization.name]
        if reason is not None:
            click.echo(click.style(f"  {'':<14}not usable here: {reason}", fg="yellow"))
