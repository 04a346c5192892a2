"""``coresplit list``."""

from collections.abc import Mapping

import click

from coresplit import models as models_room
from coresplit.cli.app import Command
from coresplit.cli.output import print_json
from coresplit.machine.allocators import ALLOCATORS, missing_allocator
from coresplit.optimizations import OPTIMIZATIONS, usable

WIDTH = 20
OWN = """your own model
  ./model.onnx        an ONNX file
  ./model.pt2         a program saved by torch.export.save
  ./model.pt          a TorchScript archive
  package.module:make a torch module, or a function that returns one
  hf:NAME             a model of the Hugging Face hub, or hf:./folder
  torchvision:NAME, timm:NAME"""


@click.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def command(as_json: bool) -> None:
    """List models, optimizations and allocators: usable here, or what to install."""
    models: list[dict[str, object]] = [
        {"name": each.name, "what": each.description, "missing": models_room.usable(each.name)}
        for each in models_room.MODELS.values()
    ]
    optimizations: list[dict[str, object]] = [
        {"name": each.name, "what": each.description, "missing": usable(each.name)}
        | {"lossy": each.lossy}
        for each in OPTIMIZATIONS.values()
    ]
    allocators: list[dict[str, object]] = [
        {"name": name, "what": what, "missing": missing_allocator(name)}
        for name, what in ALLOCATORS.items()
    ]
    listed: dict[str, list[dict[str, object]]] = {
        "models": models,
        "optimizations": optimizations,
        "allocators": allocators,
    }
    if as_json:
        print_json(listed)
        return
    for heading, rows in listed.items():
        click.echo(heading)
        for row in rows:
            _show(row)
        click.echo("")
    click.echo(OWN)


def _show(row: Mapping[str, object]) -> None:
    lossy = " (lossy)" if row.get("lossy") else ""
    click.echo(f"  {row['name']:<{WIDTH}}{row['what']}{lossy}")
    if row["missing"] is not None:
        click.echo(click.style(f"  {'':<{WIDTH}}not usable: {row['missing']}", fg="yellow"))
