"""``coresplit cache``."""

import time

import click

from coresplit.cache import Cache, Entry
from coresplit.cli.app import Command
from coresplit.cli.output import print_json, tell
from coresplit.format import format_duration, format_size
from coresplit.workflows.showing.text_table import aligned


@click.command("cache", cls=Command)
@click.option("--clear", is_flag=True, help="Remove all entries.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(clear: bool, as_json: bool) -> None:
    """Show the exports and compiled models kept between runs, or remove them."""
    cache = Cache()
    if clear:
        freed = cache.clear()
        if as_json:
            print_json({"path": str(cache.root), "freed": freed})
        else:
            tell(f"removed {format_size(freed)} from {cache.root}")
        return
    entries = cache.entries()
    if as_json:
        listed = [
            {"kind": each.kind, "key": each.key, "path": str(each.path), "size": each.size}
            | {"used_at": each.used_at, "whole": each.whole}
            for each in entries
        ]
        total = sum(each.size for each in entries)
        print_json({"path": str(cache.root), "size": total, "entries": listed})
        return
    for line in aligned(row for each in entries for row in _rows(each)):
        tell(line)
    taken = format_size(sum(each.size for each in entries))
    count = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    tell(f"{count}, {taken}, in {cache.root}")


def _rows(entry: Entry) -> list[tuple[str, ...]]:
    """Return table rows of an entry: its kind, size and age, then its key."""
    ago = format_duration(max(1.0, time.time() - entry.used_at))
    damaged = "" if entry.whole else ", damaged: rebuilt when needed"
    head = (entry.kind, format_size(entry.size), f"used {ago} ago{damaged}")
    return [head, *((f"  {name}", "", value) for name, value in entry.key.items())]
