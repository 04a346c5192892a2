"""The messages between the load process and its parent: lines of JSON."""

from typing import Literal

import msgspec

from coresplit.loading.asked import Load, Requests
from coresplit.records.load import LoadRun

FaultKind = Literal["usage", "table", "environment"]


class Setup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="setup"):
    """Run on these CPUs, all if none are given, and build these requests."""

    requests: Requests
    cpus: tuple[int, ...] = ()


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="begin"):
    """Load the server."""

    load: Load


class Stop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="stop"):
    """End the load now and report what was measured."""


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ready"):
    """The server answers and the requests, described in ``described``, are built."""

    described: str
    loop: str


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="fault"):
    """A command cannot be executed; holds the fields of an expected error."""

    kind: FaultKind
    what: str
    remedy: str = ""
    option: str = ""


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="now"):
    """A second has passed: its requests, and how many are in flight."""

    at: int
    due: int
    answers: int
    failed: int
    open: int


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="done"):
    """The load has ended."""

    run: LoadRun


Command = Setup | Begin | Stop
Reply = Ready | Fault | Progress | Done

_encode = msgspec.json.Encoder().encode
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def line_of(message: Command | Reply) -> bytes:
    """Encode a message as a line."""
    return _encode(message) + b"\n"


def command_of(line: bytes) -> Command:
    """Decode a command from a line."""
    return _commands.decode(line)


def reply_of(line: bytes) -> Reply:
    """Decode a reply from a line."""
    return _replies.decode(line)
