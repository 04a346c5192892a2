"""``coresplit load``."""

from pathlib import Path
from typing import Any

import click
import msgspec

from coresplit.cli.app import DONE, NO, Command
from coresplit.cli.display import Status
from coresplit.cli.loads import ROWS, SEARCHING, SENDING, options
from coresplit.cli.output import print_json, say, tell
from coresplit.cli.types import Duration
from coresplit.errors import EnvironmentFault
from coresplit.instance import Interrupt
from coresplit.machine.topology import parse_cpu_list
from coresplit.records.load import LoadResult


class Cpus(click.ParamType[tuple[int, ...]]):
    """CPU numbers as the kernel lists them: ``0-3,8``."""

    name = "list"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers; fails for anything else."""
        if isinstance(value, tuple):
            return value
        try:
            found = parse_cpu_list(str(value))
        except ValueError:
            found = ()
        if not found:
            self.fail(f"'{value}' is not a list of cores; write for example 3 or 2-3", param, ctx)
        return found


_PROTOCOLS = ("v2", "torchserve", "json", "raw")
_ENCODINGS = ("binary", "raw", "json")


@click.command(cls=Command)
@click.argument("urls", nargs=-1, required=True, metavar="URL [URL2]")
@options(SENDING)
@click.option("--duration", type=Duration(), metavar="TIME",
              help="Default 30s; 5s a round of a comparison, 10s a trial of a search.")  # fmt: skip
@click.option("--requests", type=click.IntRange(1), metavar="N", help="Stop after N requests.")
@click.option("--warmup", type=Duration(), metavar="TIME", help="Time at the start to leave out.")
@click.option("--timeout", type=Duration(), default="30s", show_default=True, metavar="TIME",
              help="A request fails this long after it was due.")  # fmt: skip
@click.option("--connections", type=click.IntRange(1, 60_000), default=1000, show_default=True,
              metavar="N", help="Maximum connections of an open loop.")  # fmt: skip
@click.option("--protocol", type=click.Choice(_PROTOCOLS),
              help="Default v2, or torchserve for /predictions/NAME.")  # fmt: skip
@click.option("--model", default="", metavar="NAME", help="Model name, if not in the URL.")
@ROWS
@click.option("--encoding", type=click.Choice(_ENCODINGS), default="binary", show_default=True,
              help="Encoding of the tensors of v2.")  # fmt: skip
@click.option("--input", multiple=True, metavar="SPEC",
              help="Shape of a row if the server leaves it open: ids=128; repeatable.")  # fmt: skip
@click.option("--body", type=click.Path(), metavar="FILE", help="Body for the other protocols.")
@click.option("--header", multiple=True, metavar="TEXT", help="'Name: value'; repeatable.")
@click.option("--verify", is_flag=True, help="Check that equal inputs get equal outputs.")
@click.option("--tls-ca", type=click.Path(), metavar="FILE", help="Certificates to trust (PEM).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="For inputs and arrivals.")  # fmt: skip
@click.option("--cores", type=Cpus(), metavar="LIST",
              help="CPUs of the generator; default one the server is not bound to.")  # fmt: skip
@options(SEARCHING)
@click.option("--rounds", type=click.IntRange(3, 1000), default=10, show_default=True, metavar="N",
              help="Rounds of a comparison.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Write result.json and a page to DIR.")  # fmt: skip
def command(**values: Any) -> int:  # noqa: ANN401 (what click has read)
    """Load-test the server at URL and print its latencies and throughput.

    Latency counts from when a request was due. With URL2, both servers are compared round by round.
    Ctrl-C ends the load and prints what was measured. The exit code is 1 if a request failed or no
    rate meets the latency.
    """
    as_json, out = values.pop("as_json"), values.pop("out")
    if out is not None:
        from coresplit.workflows.loading.writing import prepare_folder  # noqa: PLC0415 (drawing)

        prepare_folder(out)
    result = _run(values)
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        from coresplit.reports.loads.lines import result_lines  # noqa: PLC0415

        for line in result_lines(result):
            (say if line.startswith("warning: ") else tell)(line)
    if out is not None:
        from coresplit.workflows.loading.writing import write_load  # noqa: PLC0415 (drawing)

        say(f"page    {write_load(result, out)}")
    held = result.search is None or result.search.low is not None
    return DONE if held and not _failed(result) else NO


def _run(values: dict[str, Any]) -> LoadResult:
    try:
        from coresplit.workflows.loading.request import LoadRequest  # noqa: PLC0415 (an extra)
        from coresplit.workflows.loading.run import run_load  # noqa: PLC0415
    except ImportError as error:
        raise EnvironmentFault(
            f"loading needs {error.name}, which is not installed; "
            "run: pip install 'coresplit[serve]'"
        ) from error
    request = LoadRequest(**values)
    with Interrupt() as interrupt, Status() as status:
        return run_load(request, interrupt, say, status.show)


def _failed(result: LoadResult) -> bool:
    """True if a request failed; a search does not count failures, they only show its limit."""
    return result.search is None and result.failed > 0
