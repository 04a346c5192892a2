"""``coresplit serve``."""

import logging
import ssl
import sys
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import click

from coresplit.cli.app import DONE, NO, Command
from coresplit.cli.display import Display
from coresplit.cli.output import say, tell
from coresplit.cli.tokens import read_token
from coresplit.cli.types import Duration, Model, Name, Size, allocators, optimizations
from coresplit.errors import CoresplitError, EnvironmentFault, UsageError
from coresplit.format import format_size
from coresplit.instance import Interrupt
from coresplit.models import describe
from coresplit.records import Mapping
from coresplit.workflows.choosing import Choice, choose
from coresplit.workflows.request import Note
from coresplit.workflows.reserving import Cores
from coresplit.workflows.serve_request import ServeRequest

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_MIB = 1 << 20


@click.command(cls=Command)
@click.argument("target", type=Model(), metavar="MODEL|RUN")
@click.option("--batch", type=click.IntRange(1), metavar="B", help="Fastest split for batch B.")
@click.option(
    "--slo", type=Duration(), metavar="TIME", help="Most requests answered within a latency: 100ms."
)
@click.option("--split", metavar="SPLIT", help="Instances x threads: 2x1, 1x8+4x2. No measuring.")
@click.option("--optimization", type=Name(optimizations), help="Default the best lossless one.")
@click.option("--mapping", type=click.Choice(get_args(Mapping)), help="Default the best.")
@click.option("--allocator", type=Name(allocators), help="Default the best.")
@click.option("--budget", type=Duration(), default="2m", metavar="TIME", help="Time to measure.")
@click.option("--no-measure", is_flag=True, help="Fail if there is no run to plan from.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
              help="Port to listen on; 0 for any.")  # fmt: skip
@click.option("--name", help="Name of the model in requests; default its own.")
@click.option(
    "--batch-timeout",
    type=Duration(),
    metavar="TIME",
    help="Time a request waits for others to fill a batch; default 0.",
)
@click.option("--timeout", type=Duration(), metavar="TIME", help="Maximum time for a request.")
@click.option(
    "--grace", type=Duration(), default="30s", metavar="TIME", help="To finish requests at the end."
)
@click.option("--queue", type=click.IntRange(1), default=1000, show_default=True, metavar="N",
              help="Maximum number of waiting requests.")  # fmt: skip
@click.option("--memory", type=click.IntRange(1), default=1024, show_default=True, metavar="MIB",
              help="Memory for requests and answers.")  # fmt: skip
@click.option("--token-file", type=click.Path(path_type=Path), help="Require the token in it.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback without a token.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Private key of it (PEM).")
@click.option("--manage", type=click.IntRange(0, 65535), metavar="PORT",
              help="Accept changes of the instances on this port; 0 for any.")  # fmt: skip
@click.option("--adapt", is_flag=True, help="Change the instances as the load changes.")
@click.option("--resident-memory", type=Size(), metavar="SIZE",
              help="Memory for all instances, including idle ones; default what fits.")  # fmt: skip
@click.option("--input-size", type=int, metavar="N", help="Side of the images in pixels.")
@click.option("--length", type=int, metavar="N", help="Text length in tokens.")
@click.option("--input", multiple=True, metavar="SPEC", help="NAME=3x224x224:float32; repeatable.")
@click.option("--weights", metavar="FILE", help="A state dict; default seeded random weights.")
@click.option("--seed", type=int, help="Seed for weights; default 0.")
@click.option("--trust", is_flag=True, help="Load a model file that can run code.")
@click.option("--wait", is_flag=True, help="Wait while another run measures on these cores.")
def command(**values: Any) -> int:  # noqa: ANN401 (what click has read)
    """Serve MODEL, or the model of RUN, over the Open Inference Protocol.

    Chooses instances and threads from the newest run of the model on this machine, or measures
    first if there is none. On SIGTERM or Ctrl-C, answers the accepted requests and stops.
    """
    server = {name: values.pop(name) for name in _SERVER}
    wait = values.pop("wait")
    values["measure"] = not values.pop("no_measure")
    request = ServeRequest(**values)
    _check_name(server["name"])
    changes = server["adapt"] or server["manage"] is not None
    if server["resident_memory"] is not None and not changes:
        raise UsageError(
            "--resident-memory needs --adapt or --manage: nothing else starts other instances"
        )
    if server["adapt"] and (request.split is not None or request.batch is not None):
        raise UsageError("--adapt chooses the split from the load; leave --split and --batch out")
    token = _token_for(server["host"], server["token_file"], insecure=server["insecure"])
    tls = _tls(server["tls_cert"], server["tls_key"])
    with Interrupt() as interrupt, Cores(interrupt, wait=wait, note=say) as cores:
        with Display() as display:
            choice = choose(request, interrupt, cores, say, display.show)
        cores.reserve(choice.spec.name, choice.machine)
        for line in choice.reasons:
            say(line)
    return _serve(choice, {**server, "slo": request.slo}, token, tls, say)


_SERVER = (
    "host", "port", "name", "batch_timeout", "timeout", "grace", "queue", "memory", "token_file",
    "insecure", "tls_cert", "tls_key", "manage", "adapt", "resident_memory",
)  # fmt: skip


def _serve(
    choice: Choice, server: dict[str, Any], token: str, tls: ssl.SSLContext | None, note: Note
) -> int:
    try:
        from coresplit.workflows.serving import (  # noqa: PLC0415 (an extra)
            run_server,
            said_of_candidates,
        )
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"serving needs {error.name}, which is not installed; "
            "run: pip install 'coresplit[serve]'"
        ) from error
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("coresplit.serving").setLevel(logging.INFO)
    name = server["name"] or describe(choice.spec.name)[0]
    scheme = "https" if tls else "http"

    def url(host: str, port: int) -> str:
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{port}/v2/models/{quote(name)}"

    def ready(port: int) -> None:
        tell(f"ready   {url(server['host'], port)}")

    def managed(port: int) -> None:
        say(f"manage  {url(server['host'] if token else '127.0.0.1', port)}/config")

    count = choice.split.count
    started = "1 instance" if count == 1 else f"{count} instances"
    note(f"starting {started}, {format_size(server['memory'] * _MIB)} for requests")
    if server["adapt"]:
        note(said_of_candidates(choice))
    drained = run_server(
        choice,
        name=name,
        host=server["host"],
        port=server["port"],
        arena_bytes=server["memory"] * _MIB,
        most_requests=server["queue"],
        batch_timeout_s=server["batch_timeout"] or 0.0,
        timeout_s=server["timeout"],
        grace_s=server["grace"],
        token=token,
        tls=tls,
        manage=server["manage"],
        adapt=server["adapt"],
        slo_s=server["slo"],
        resident_bytes=server["resident_memory"],
        on_manage=managed,
        on_ready=ready,
    )
    return DONE if drained else NO


def _check_name(name: str | None) -> None:
    # /v2/models/stats is the path of the statistics
    if name is not None and (name == "stats" or "/" in name or not name.isprintable()):
        raise UsageError(
            f"the protocol has no path for a model called {name!r}; "
            "use a name without a slash, other than stats"
        )


def _token_for(host: str, file: Path | None, *, insecure: bool) -> str:
    if file is None:
        if host not in _LOOPBACK and not insecure:
            raise UsageError(
                f"{host} is reachable from other machines; give --token-file, or --insecure to "
                "serve without a token"
            )
        return ""
    return read_token(file)


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None:
        raise UsageError("--tls-key needs --tls-cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise CoresplitError(f"the certificate {certificate} cannot be used: {error}") from error
    return context
