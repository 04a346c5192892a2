"""What users read: flags are named by the command line alone, and words are plain."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from coresplit.cli.app import COMMANDS, app

SOURCE = Path(__file__).parents[1] / "src" / "coresplit"
SPEAKING = {"cli", "commands.py"}
"""Rooms that know the command line: its own, and the one that writes commands into pages."""
STILTED = re.compile(
    r"\b(foretold|foretell|soonest|stands? against|whereof|thereof|lacks? nothing)\b", re.IGNORECASE
)


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def flags() -> set[str]:
    context = click.Context(app)
    commands = [app.get_command(context, name) for name in COMMANDS]
    return {
        name
        for command in commands
        if command is not None
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--")
    }


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String literals with their lines, docstrings too, as they become help and reference."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_flags_are_named_by_the_command_line_alone() -> None:
    named = re.compile("|".join(rf"{re.escape(flag)}(?![\w-])" for flag in sorted(flags())))
    assert named.search("give --trust") and not named.search("numactl --hardware")
    wrong = [
        f"{path.relative_to(SOURCE)}:{line}: {text}"
        for path in sources()
        if path.relative_to(SOURCE).parts[0] not in SPEAKING
        for line, text in texts(path)
        if named.search(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.stem)
def test_words_are_plain(path: Path) -> None:
    assert [text for _, text in texts(path) if STILTED.search(text)] == []


def test_every_option_says_what_it_does() -> None:
    context = click.Context(app)
    for name in COMMANDS:
        command = app.get_command(context, name)
        assert command is not None and command.help
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, parameter.name
