"""``coresplit doctor``."""

from collections.abc import Sequence

import click
import msgspec

from coresplit.cli.app import Command, flag_of
from coresplit.cli.output import print_json
from coresplit.format import format_numbers, format_size
from coresplit.machine.doctor.checks import Advice, examine
from coresplit.machine.inspection import inspect
from coresplit.records import Machine
from coresplit.workflows.showing.text_table import aligned

MOST_WARNINGS = 3


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(as_json: bool) -> None:
    """Find what spoils measurements on this machine, and how to fix it. Changes nothing."""
    machine = inspect()
    advice = examine(machine)
    if as_json:
        print_json(
            {
                "usable_cores": list(machine.usable_cores),
                "quota_cores": machine.quota_cores,
                "advice": [msgspec.structs.asdict(one) for one in advice],
            }
        )
        return
    for line in describe(machine):
        click.echo(line)
    for one in advice:
        click.echo("")
        colour = "yellow" if one.severity == "warning" else "cyan"
        click.echo(click.style(one.severity, fg=colour, bold=True) + f": {one.what}")
        option = flag_of(one.option)
        click.echo(f"  remedy: {one.remedy}" + (f" ({option})" if option else ""))
    if not advice:
        click.echo("\nNo problems found.")


def describe(machine: Machine) -> list[str]:
    """Describe the machine in a few lines."""
    cores = format_numbers(machine.usable_cores) or "none"
    limit = machine.memory_limit
    limited = f", limited to {format_size(limit)}" if limit is not None else ""
    quota = machine.quota_cores
    return aligned(
        (
            ("processor", machine.cpu_model),
            (
                "usable cores",
                f"{machine.usable} of {len(machine.cores)} physical (CPU {cores})",
            ),
            ("quota", "no CPU quota" if quota is None else f"{quota:.3g} cores"),
            ("NUMA nodes", str(machine.nodes)),
            ("memory", f"{format_size(machine.memory)}{limited}"),
            ("kernel", machine.kernel),
        )
    )


def warnings_of(advice: Sequence[Advice]) -> list[str]:
    """Return at most three short warnings and where to read more; empty if there are none."""
    warnings = [one.what.partition(": ")[0] for one in advice if one.severity == "warning"]
    if not warnings:
        return []
    more = len(warnings) - MOST_WARNINGS
    also = f"{more} more, and what to do" if more > 0 else "what to do"
    return [*warnings[:MOST_WARNINGS], f"{also}: see coresplit doctor"]
