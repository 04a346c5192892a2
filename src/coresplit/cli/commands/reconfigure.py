"""``coresplit reconfigure``."""

import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import click

from coresplit.cli.app import DONE, NO, Command
from coresplit.cli.output import say, tell
from coresplit.cli.tokens import read_token
from coresplit.cli.types import Name, optimizations
from coresplit.errors import CoresplitError, UsageError
from coresplit.format import format_duration

_MISTAKES = {400, 401, 403, 404, 405, 413}
_LONGEST = 1 << 20
_LONGEST_S = 3600.0
"""A server gives an instance half an hour to be ready."""


@click.command(cls=Command)
@click.argument("url")
@click.option("--split", metavar="SPLIT", help="Instances x threads: 2x1, 1x8+4x2.")
@click.option("--optimization", type=Name(optimizations), help="Default the one at the start.")
@click.option("--set", metavar="NAME", help="Name of a set that the server knows.")
@click.option("--adapt", is_flag=True, help="Let the instances follow the load again.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Token of the server.")
@click.option("--ca", type=click.Path(path_type=Path), help="Certificates to trust (PEM).")
def command(
    url: str, token_file: Path | None, ca: Path | None, *, adapt: bool, **asked: str | None
) -> int:
    """Change the instances of a server that was started with --manage.

    URL is the one the server printed. Returns when the new instances serve; if they cannot, nothing
    changes and the exit code is 1.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if (asked["split"] is not None) + (asked["set"] is not None) + adapt != 1:
        raise UsageError("give one of --split, --set and --adapt")
    body = json.dumps({**given, "adapt": True} if adapt else given)
    headers = {"Content-Type": "application/json"}
    if token_file is not None:
        headers["Authorization"] = f"Bearer {read_token(token_file)}"
    request = urllib.request.Request(_checked(url), body.encode(), headers, method="POST")
    status, answer = _sent(request, _trusting(ca))
    if status in _MISTAKES:
        raise UsageError(f"the server refused the change: {_text(answer, 'error', str(status))}")
    if status != http.client.OK:
        say(f"nothing was changed: {_text(answer, 'error', f'the server answered {status}')}")
        return NO
    if adapt:
        tell(f"{_text(answer, 'active', '?')} serves, and the instances follow the load")
    else:
        tell(f"{_text(answer, 'set', '?')} serves, {_how(answer)}")
    return DONE


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:  # noqa: ANN401
        """Follow no redirect, so that the token goes nowhere else."""


def _checked(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.path.startswith("/v2/models/")
    except ValueError:
        known = False
    if not known or not url.isascii() or any(letter <= " " for letter in url):
        raise UsageError(
            f"'{url}' is not what a server prints, such as "
            "http://127.0.0.1:8082/v2/models/resnet50/config"
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/config"):
        path += "/config"
    return urllib.parse.urlunsplit(parts._replace(path=path))


def _trusting(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates in {ca} cannot be used: {error}") from error


def _sent(request: urllib.request.Request, context: ssl.SSLContext) -> tuple[int, dict[str, Any]]:
    """Return the status and JSON of the answer; wait up to ``_LONGEST_S`` for it."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=context),
        _NoRedirect(),
    )
    try:
        try:
            with opener.open(request, timeout=_LONGEST_S) as answer:
                status, text = answer.status, answer.read(_LONGEST)
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read(_LONGEST)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise CoresplitError(f"{request.host} cannot be reached: {reason}") from error
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return status, found if isinstance(found, dict) else {}


def _how(answer: dict[str, Any]) -> str:
    """Describe how the change was made."""
    count, seconds = answer.get("started"), answer.get("seconds")
    if not isinstance(count, int) or not isinstance(seconds, int | float) or count < 1:
        return _text(answer, "reason", "all its instances waited warm")
    return f"{count} {'instance' if count == 1 else 'instances'} started in " + format_duration(
        float(seconds)
    )


def _text(answer: dict[str, Any], name: str, default: str) -> str:
    found = answer.get(name)
    return found if isinstance(found, str) and found else default
