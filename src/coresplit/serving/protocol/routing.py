"""Routing: method and path to endpoint."""

import re
from typing import Literal

import msgspec

from coresplit.serving.protocol.refusals import MethodNotAllowed, NotFound, quoted, shortened
from coresplit.serving.protocol.signature import Signature

Endpoint = Literal[
    "server_metadata",
    "live",
    "ready",
    "model_metadata",
    "model_ready",
    "config",
    "stats",
    "infer",
    "repository_index",
]

_PLAIN: dict[str, Endpoint] = {
    "/v2": "server_metadata",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
    "/v2/models/stats": "stats",
    "/v2/repository/index": "repository_index",
}
_MODEL = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?(?:/(infer|ready|config|stats))?")
_OF_MODEL: dict[str | None, Endpoint] = {
    None: "model_metadata",
    "ready": "model_ready",
    "config": "config",
    "stats": "stats",
    "infer": "infer",
}
_POSTED: set[Endpoint] = {"infer", "repository_index"}


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint; ``model`` and ``version`` are empty if the path has none."""

    endpoint: Endpoint
    model: str = ""
    version: str = ""


def route(method: str, path: str) -> Route:
    """Find the endpoint of a percent-decoded path; the query is ignored.

    Raises ``NotFound`` and ``MethodNotAllowed``. ``check_model`` checks model and version.
    """
    path = path.partition("?")[0]
    found = _find(path)
    if found is None:
        raise NotFound(f"there is no endpoint {quoted(path)}")
    allowed = "POST" if found.endpoint in _POSTED else "GET"
    if method != allowed:
        raise MethodNotAllowed(
            f"method {quoted(method)} is not allowed for {quoted(path)}: use {allowed}", allowed
        )
    return found


def check_model(found: Route, signature: Signature) -> None:
    """Raise ``NotFound`` if the route names another model or version."""
    if found.model not in ("", signature.model):
        raise NotFound(f"Request for unknown model: {quoted(found.model)} is not found")
    if found.version not in ("", signature.version):
        raise NotFound(
            f"Request for unknown model: {quoted(found.model)} version "
            f"{shortened(found.version)} is not found"
        )


def _find(path: str) -> Route | None:
    if path in _PLAIN:
        return Route(_PLAIN[path])
    match = _MODEL.fullmatch(path)
    if match is None:
        return None
    model, version, rest = match.groups()
    return Route(_OF_MODEL[rest], model, version or "")
