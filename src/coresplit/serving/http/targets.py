"""The target of a request: path, query and host."""

import re
from urllib.parse import unquote_to_bytes

import httptools

from coresplit.serving.http.message import Refusal

_HALF_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SLASH = re.compile(rb"%(2[Ff])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%-]*(:[0-9]*)?|\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)", re.IGNORECASE)


def read_target(target: bytes, method: str) -> tuple[str, str, str | None]:
    """Return path, query, and the host if the target names one, else None; raises Refusal."""
    if target == b"*" and method == "OPTIONS":
        return "*", "", None
    if b"#" in target:
        raise Refusal(400, "the target has a fragment")
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
        return _decoded(path), query.decode("latin-1"), None
    named = _ABSOLUTE.match(target)
    if named is None:
        raise Refusal(400, "the target is neither a path nor an http address")
    return _read_absolute(target, check_host(named[1].decode("latin-1")))


def _read_absolute(target: bytes, host: str) -> tuple[str, str, str]:
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise Refusal(400, "the target is not an address") from None
    if url.userinfo is not None or not url.host:
        raise Refusal(400, "the target does not name a host")
    return _decoded(url.path or b"/"), (url.query or b"").decode("latin-1"), host


def check_host(host: str) -> str:
    """Return the host with its port, as given; raises Refusal if it is not a host."""
    if not _HOST.fullmatch(host):
        raise Refusal(400, "the Host header is not a host")
    return host


def _decoded(path: bytes) -> str:
    if b"%" not in path:
        return path.decode("latin-1")
    if _HALF_ESCAPE.search(path):
        raise Refusal(400, "the path has a % without two hex digits")
    try:
        # an escaped slash belongs to a name: keep it escaped, so that it does not split the path
        text = unquote_to_bytes(_SLASH.sub(rb"%25\1", path)).decode()
    except UnicodeDecodeError:
        raise Refusal(400, "the path is not UTF-8") from None
    if _CONTROL.search(text):
        raise Refusal(400, "the path has a control character")
    return text
