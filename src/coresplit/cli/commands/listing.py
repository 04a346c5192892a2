"""``coresplit list``."""

import click

from coresplit import models as models_room
from coresplit.cli.app import Command
from coresplit.cli.output import print_json, tell
from coresplit.machine.allocators import ALLOCATORS, missing_allocator
from coresplit.optimizations import OPTIMIZATIONS, usable
from coresplit.workflows.showing.text_table import aligned

Row = dict[str, object]
OWN = """your own model
  ./model.onnx         an ONNX file
  ./model.pt2          a program saved by torch.export.save
  ./model.pt           a TorchScript archive
  package.module:make  a torch module, or a function that returns one
  hf:NAME              a model on the Hugging Face hub, or hf:./folder
  torchvision:NAME, timm:NAME
  fake                 a formula, to try coresplit without a library and without waiting"""


@click.command("list", cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """List models, optimizations and allocators, and what to install for them."""
    models: list[Row] = [
        {"name": each.name, "what": each.description, "missing": models_room.usable(each.name)}
        for each in models_room.MODELS.values()
    ]
    optimizations: list[Row] = [
        {"name": each.name, "what": each.description, "missing": usable(each.name)}
        | {"lossy": each.lossy}
        for each in OPTIMIZATIONS.values()
    ]
    allocators: list[Row] = [
        {"name": name, "what": what, "missing": missing_allocator(name)}
        for name, what in ALLOCATORS.items()
    ]
    listed = {"models": models, "optimizations": optimizations, "allocators": allocators}
    if as_json:
        print_json(listed)
        return
    for heading, rows in listed.items():
        tell(heading)
        for line in aligned((line for row in rows for line in _lines(row)), "  "):
            tell(line)
        tell("")
    tell(OWN)


def _lines(row: Row) -> list[tuple[str, str]]:
    lossy = " (lossy)" if row.get("lossy") else ""
    lines = [(str(row["name"]), f"{row['what']}{lossy}")]
    missing = row["missing"]
    return lines if missing is None else [*lines, ("", f"not usable: {missing}")]
