"""Requests of ``oracle.py`` without tensors: every endpoint, method and path."""

from itertools import product

from oracle_requests import Case

METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
PATHS = {
    "server metadata": ("/v2",),
    "live": ("/v2/health/live",),
    "ready": ("/v2/health/ready",),
    "model metadata": ("/v2/models/NAME", "/v2/models/NAME/versions/1"),
    "model ready": ("/v2/models/NAME/ready", "/v2/models/NAME/versions/1/ready"),
    "config": ("/v2/models/NAME/config", "/v2/models/NAME/versions/1/config"),
    "statistics": ("/v2/models/NAME/stats", "/v2/models/NAME/versions/1/stats"),
    "inference": ("/v2/models/NAME/infer",),
    "index": ("/v2/repository/index",),
}
"""Requested with every method, with and without a query."""
ODD = {
    "other model": (
        *("/v2/models/nope", "/v2/models/nope/ready", "/v2/models/nope/config"),
        *("/v2/models/nope/stats", "/v2/models/NAMEx", "/v2/models/name"),
    ),
    "other version": (
        *("/v2/models/NAME/versions/2", "/v2/models/NAME/versions/2/ready"),
        *("/v2/models/NAME/versions/2/config", "/v2/models/NAME/versions/2/stats"),
    ),
    "version no number": ("/v2/models/NAME/versions/x", "/v2/models/NAME/versions/-1/ready"),
    "no such path": (
        *("/", "/v1", "/v3", "/v2/health", "/v2/health/x", "/v2/models/NAME/x", "/V2"),
        *("/v2/repository", "/v2/nothing", "/favicon.ico", "/v2/models/NAME/versions/1/x"),
    ),
    "slash at the end": (
        *("/v2/", "/v2/health/live/", "/v2/health/ready/", "/v2/models/NAME/"),
        *("/v2/models/NAME/ready/", "/v2/models/NAME/config/", "/v2/models/NAME/stats/"),
    ),
    "two slashes": ("//v2", "/v2//health/live", "/v2/models//NAME", "/v2/models/NAME//ready"),
    "statistics of all": ("/v2/models/stats",),
    "no model": ("/v2/models", "/v2/models/"),
    "escaped": ("/v2/%68ealth/live", "/%76%32", "/v2/health%2Flive"),
    "escape that is none": ("/v2/models/%zz", "/v2/%"),
    "verbs of one model": ("/v2/models/NAME/versions", "/v2/models/NAME/versions/1/"),
    "metrics": ("/metrics",),
    "traces": ("/v2/trace/setting", "/v2/models/NAME/trace/setting"),
    "logging": ("/v2/logging",),
    "shared memory": (
        *("/v2/systemsharedmemory/status", "/v2/cudasharedmemory/status"),
        *("/v2/systemsharedmemory/region/r/status", "/v2/systemsharedmemory/unregister"),
    ),
}
"""Requested with GET and POST."""
INDEX = (
    *(b"", b"{}", b'{"ready": true}', b'{"ready": false}', b'{"ready": 1}', b'{"ready": null}'),
    *(b'{"mine": 1}', b"[]", b"null", b"{", b"nonsense"),
)
LOADING = ("load", "unload")


def endpoints(model: str) -> list[Case]:
    """Return all of these requests for a server with one model."""
    cases = []
    for (kind, paths), method in product(PATHS.items(), METHODS):
        for path, query in product(paths, ("", "?a=1&b=2")):
            cases.append(_case(f"{kind}: {method}", method, path.replace("NAME", model) + query))
    for (kind, paths), method in product(ODD.items(), ("GET", "POST")):
        for path in paths:
            cases.append(_case(f"path: {kind}, {method}", method, path.replace("NAME", model)))
    cases += [
        _case(f"index: {body.decode() or 'no body'}", "POST", "/v2/repository/index", body)
        for body in INDEX
    ]
    cases += [Case("HTTP/1.0", "GET", path, version="1.0") for path in ("/v2", "/v2/health/ready")]
    for verb, name in product(LOADING, (model, "nope")):
        cases.append(
            _case(f"model control: {verb}", "POST", f"/v2/repository/models/{name}/{verb}")
        )
    return cases


def _case(kind: str, method: str, target: str, body: bytes = b"") -> Case:
    return Case(kind, method, target, (), body)
