"""Ask a server once a second how its model is split, so that a timeline can show it."""

import asyncio
import time

import msgspec

from coresplit.loading.protocols.source import Source
from coresplit.loading.wire.pool import ask
from coresplit.loading.wire.request import Prepared, head_of
from coresplit.records.load import SplitSeen

EVERY_S = 1.0
_PATIENCE_S = 5.0


class _Group(msgspec.Struct):
    name: str = ""
    count: int = 1


class _Config(msgspec.Struct):
    instance_group: tuple[_Group, ...] = ()


def split_of(body: bytes) -> tuple[int, str] | None:
    """Return the number of instances of a configuration and its split; None if it has no groups.

    A single group is shown by its count alone, because it has the name of the model.
    """
    try:
        groups = msgspec.json.decode(body, type=_Config).instance_group
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    if not groups:
        return None
    count = sum(group.count for group in groups)
    if len(groups) == 1:
        return count, f"{count}"
    return count, " + ".join(f"{group.count} {group.name}".strip() for group in groups)


async def watch_split(
    source: Source, headers: tuple[tuple[str, str], ...], begun: float, seen: list[SplitSeen]
) -> None:
    """Append each new split to ``seen`` until cancelled; return if the server reports none."""
    if not source.config_path:
        return
    head = head_of(source.address, "GET", source.config_path, headers, 0)
    request = Prepared((head,), 0)
    while True:
        at = time.monotonic()
        try:
            answer = await ask(source.address, source.tls, request, _PATIENCE_S)
        except ConnectionError:
            answer = None
        found = split_of(answer.body) if answer is not None and answer.status == 200 else None
        if found is None and not seen:
            return
        if found is not None and (not seen or found != (seen[-1].instances, seen[-1].split)):
            seen.append(SplitSeen(at=max(at - begun, 0.0), instances=found[0], split=found[1]))
        await asyncio.sleep(max(EVERY_S - (time.monotonic() - at), 0.1))
