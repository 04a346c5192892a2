"""Build the requests for a server, by protocol, from what the server says about its model."""

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator

import msgspec

from coresplit.errors import EnvironmentFault, UsageError
from coresplit.format import format_size
from coresplit.loading.asked import Requests
from coresplit.loading.protocols.answers import AnyChecker, InferChecker
from coresplit.loading.protocols.bodies import (
    ModelMetadata,
    drawn,
    infer_request,
    parse_inputs,
    read_body,
    shaped,
)
from coresplit.loading.wire.address import Address, parse_url, tls_context
from coresplit.loading.wire.pool import ask, reason_of
from coresplit.loading.wire.request import Prepared, head_of

_V2 = re.compile(r"(.*)/v2/models/([^/?]+)(/versions/[^/?]+)?(?:/infer)?/?")
_PREDICTIONS = re.compile(r".*/predictions/[^/?]+(/[^/?]+)?/?")
PATIENCE_S = 10.0
"""How long to wait for the first answer of a server."""
_MOST_PREPARED = 256 << 20
"""Once kept inputs exceed this many bytes, no more variants are made."""


class Source(msgspec.Struct, frozen=True):
    """Requests for one server: ``pick`` returns the request to send, by number and rows."""

    address: Address
    tls: ssl.SSLContext | None
    checker: AnyChecker | InferChecker
    pick: Callable[[int, int], Prepared]
    described: str
    config_path: str = ""


async def open_source(asked: Requests) -> Source:
    """Ask the server about its model and build the requests.

    Raises UsageError if the options do not fit, EnvironmentFault if the server does not answer or
    is not ready.
    """
    address = parse_url(asked.url)
    tls = tls_context(address, asked.authority)
    if asked.protocol == "v2":
        return await _v2(asked, address, tls)
    path = address.path
    if asked.protocol == "torchserve" and not _PREDICTIONS.fullmatch(path):
        if not asked.model:
            raise _nameless(asked.url, "/predictions/NAME")
        path = f"{path.rstrip('/')}/predictions/{asked.model}"
    if asked.body is None:
        raise UsageError(
            f"protocol {asked.protocol} sends a file", "name it by {option}", "body=FILE"
        )
    await _reach(address, tls)
    body = read_body(asked.body)
    kind = "application/json" if asked.protocol == "json" else "application/octet-stream"
    headers = asked.headers
    if "content-type" not in {name.lower() for name, _ in headers}:
        headers = (("Content-Type", kind), *headers)
    request = Prepared((head_of(address, "POST", path, headers, len(body)) + body,), 0)
    return Source(
        address=address,
        tls=tls,
        checker=AnyChecker(verify=asked.verify),
        pick=lambda number, rows: request,
        described=f"POST {path}, {format_size(len(body))} each",
    )


async def _v2(asked: Requests, address: Address, tls: ssl.SSLContext | None) -> Source:
    found = _V2.fullmatch(address.path)
    if found is not None:
        base = f"{found[1]}/v2/models/{found[2]}{found[3] or ''}"
    elif asked.model:
        base = f"{address.path.rstrip('/').removesuffix('/v2')}/v2/models/{asked.model}"
    else:
        raise _nameless(asked.url, "/v2/models/NAME")
    metadata = await _metadata(asked, address, tls, base)
    given = parse_inputs(asked.inputs)
    names = [tensor.name for tensor in metadata.inputs]
    if unknown := sorted(given.keys() - set(names)):
        raise UsageError(
            f"model '{metadata.name}' has no input '{unknown[0]}'; it has {', '.join(names)}"
        )
    make = _Inputs(asked, metadata, address, f"{base}/infer", given)
    first = make.pick(0, asked.rows)
    rows = f"{asked.rows} row{'s' if asked.rows > 1 else ''}"
    return Source(
        address=address,
        tls=tls,
        checker=InferChecker(metadata, verify=asked.verify),
        pick=make.pick,
        described=f"model {metadata.name}, {rows}, {format_size(first.size)} each",
        config_path=f"{base}/config",
    )


class _Inputs:
    """Builds inference requests when first needed and keeps them."""

    def __init__(
        self,
        asked: Requests,
        metadata: ModelMetadata,
        address: Address,
        path: str,
        given: dict[str, tuple[int, ...]],
    ) -> None:
        self._asked = asked
        self._metadata = metadata
        self._address = address
        self._path = path
        self._given = given
        self._variants = asked.variants
        self._made: dict[tuple[int, int], Prepared] = {}
        self._size = 0

    def pick(self, number: int, rows: int) -> Prepared:
        """Return request ``number`` with ``rows`` rows, 0 for the default."""
        key = number % self._variants, rows or self._asked.rows
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._make(*key)
            self._size += found.size
            if self._size > _MOST_PREPARED:
                self._variants = 1
        return found

    def _make(self, variant: int, rows: int) -> Prepared:
        import numpy as np  # noqa: PLC0415 (an extra)

        # a larger request starts with the rows of a smaller one
        random = np.random.default_rng((self._asked.seed, variant))
        tensors = []
        for tensor in self._metadata.inputs:
            shape = shaped(tensor, rows, self._given)
            tensors.append((tensor, shape, drawn(tensor, shape, random)))
        batched = all(tensor.shape[:1] == (-1,) for tensor in self._metadata.inputs)
        return infer_request(
            self._metadata,
            self._address,
            self._path,
            encoding=self._asked.encoding,
            headers=self._asked.headers,
            tensors=tensors,
            rows=rows if batched else 0,
        )


async def _metadata(
    asked: Requests, address: Address, tls: ssl.SSLContext | None, path: str
) -> ModelMetadata:
    request = Prepared((head_of(address, "GET", path, asked.headers, 0),), 0)
    try:
        answer = await ask(address, tls, request, PATIENCE_S)
    except ConnectionError as error:
        raise unreachable(address, str(error)) from None
    if answer.status != 200:
        said = answer.body[:200].decode("utf-8", "replace").strip()
        raise EnvironmentFault(f"{address.authority}{path} answers {answer.status}: {said}")
    try:
        return msgspec.json.decode(answer.body, type=ModelMetadata)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvironmentFault(
            f"{address.authority}{path} is not a model of the Open Inference Protocol: {error}"
        ) from None


async def _reach(address: Address, tls: ssl.SSLContext | None) -> None:
    """Raise EnvironmentFault if the server cannot be reached."""
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(address.host, address.port, ssl=tls), PATIENCE_S
        )
    except TimeoutError:
        raise unreachable(address, "it does not answer") from None
    except OSError as error:
        raise unreachable(address, reason_of(error)) from None
    writer.close()


def unreachable(address: Address, reason: str) -> EnvironmentFault:
    """Return the error for a server that cannot be reached."""
    return EnvironmentFault(f"cannot reach {address.authority}: {reason}; is the server running?")


def _nameless(url: str, path: str) -> UsageError:
    return UsageError(
        f"'{url}' names no model",
        f"add {path} after the host, or give {{option}}",
        "model=NAME",
    )


def numbered(
    source: Source, times: Iterator[tuple[float, int]]
) -> Iterator[tuple[float, Prepared]]:
    """Yield when each request is due, and the request."""
    for number, (at, rows) in enumerate(times):
        yield at, source.pick(number, rows)
