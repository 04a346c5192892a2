"""The ``coresplit`` command: runs a subcommand and prints each expected error as one line."""

import importlib
import os
import shlex
import sys
from typing import NoReturn

import click

import coresplit
from coresplit.errors import CoresplitError

DONE, NO, MISTAKE, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "bench": ("bench", "Sweep threads x batch x optimization and write the report."),
    "report": ("report", "Rebuild pages, pictures and tables from run folders."),
    "import": ("importing", "Convert published CSV tables into a run folder."),
    "plan": ("plan", "Plan the fastest split of cores and a batch, and verify it."),
    "serve": ("serve", "Serve a model with the best measured split."),
    "reconfigure": ("reconfigure", "Change the instances of a running server."),
    "load": ("load", "Load-test a server, compare two, or find the highest rate within a latency."),
    "simulate": ("simulate", "Replay a load on other instances, without a server."),
    "export": ("export", "Write a run as CSV tables."),
    "doctor": ("doctor", "Find what spoils measurements on this machine, and how to fix it."),
    "cache": ("caching", "Show or remove cached exports and compiled models."),
    "list": (
        "listing",
        "List models, optimizations and allocators, and what to install.",
    ),
}


class Command(click.Command):
    """A subcommand that rejects an empty value, for example from an unset shell variable."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments as click does; raise UsageError for an empty value."""
        typed, *_ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in [] if typed.get("help") else self.params:
            value = typed.get(str(parameter.name))
            if "" in (value if isinstance(value, list | tuple) else [value]):
                option = isinstance(parameter, click.Option)
                shown = parameter.opts[0] if option else parameter.human_readable_name
                raise click.UsageError(f"{shown} is empty; give it a value or leave it out", ctx)
        return super().parse_args(ctx, args)


class LazyGroup(click.Group):
    """Import a subcommand only when it is called, so that help and errors appear at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"coresplit.cli.commands.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(coresplit.__version__, prog_name="coresplit")
def app() -> None:
    """Measure, plan and serve neural networks on the cores of this machine."""


def main() -> NoReturn:
    """Run the command line and exit with one of the codes above."""
    try:
        code = app(prog_name="coresplit", standalone_mode=False)
        sys.stdout.flush()
    except CoresplitError as error:
        code = _complain(error.told(flag_of(error.option)))
    except click.ClickException as error:
        code = _complain(_usage_line(error))
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # the reader closed the pipe, which is fine; keep the interpreter from flushing into it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    sys.exit(code or DONE)


def flag_of(option: str) -> str:
    """Return the flag of a parameter: ``--trust`` for ``trust``; empty if there is none."""
    if not option:
        return ""
    name, _, value = option.removesuffix("=True").partition("=")
    return f"--{name.replace('_', '-')}" + (f" {shlex.quote(value)}" if value else "")


def _complain(message: str) -> int:
    from coresplit.cli.output import say  # noqa: PLC0415 (not needed for help)

    say(f"coresplit: {' '.join(message.split())}")
    return MISTAKE


def _usage_line(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None:
        message += f" (see {context.command_path} --help)"
    return message
