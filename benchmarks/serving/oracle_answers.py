"""Answers as ``oracle.py`` compares them."""

import contextlib
import json
import socket
import zlib
from http.client import HTTPException, HTTPResponse
from typing import Any

import msgspec
import numpy as np
from oracle_requests import DTYPES, LENGTH, Case

PATIENCE_S = 10.0


class Answer(msgspec.Struct, frozen=True):
    """An answer; without one ``status`` is 0, and ``text`` names the error."""

    status: int
    headers: dict[str, str] = {}
    body: bytes = b""
    text: str = ""

    @property
    def group(self) -> str:
        """The class of the status, such as ``2xx``, or ``none``."""
        return f"{self.status // 100}xx" if self.status else "none"

    @property
    def reason(self) -> str:
        """The error message of a refusal, or an empty string."""
        try:
            found = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError):
            return ""
        return found if isinstance(found, str) else ""

    @property
    def error(self) -> str:
        """The error message of a refusal, or the beginning of the answer."""
        return self.reason or self.text or self.body[:80].decode(errors="replace")


def ask(port: int, case: Case) -> Answer:
    """Send a request on a new connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
            # a server that answers before it has read everything may close
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(case.wire)
            response = HTTPResponse(connection, method=case.method)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
    except (OSError, HTTPException) as error:
        return Answer(0, text=type(error).__name__)


def meaning(case: Case, answer: Answer, model: str) -> Any:  # noqa: ANN401
    """Return what a client reads from an answer; None for a refusal."""
    if answer.status >= 300 or answer.status == 0:
        return None
    body = answer.body
    coding = answer.headers.get("content-encoding", "")
    if coding in ("gzip", "deflate"):
        body = zlib.decompress(body, 47)
    if case.method == "HEAD" or not body:
        return None
    if "/infer" in case.target:
        return _inference(body, answer.headers.get(LENGTH.lower()), answer.headers)
    return _reduced(case.target.partition("?")[0], json.loads(body), model)


def _inference(body: bytes, length: str | None, headers: dict[str, str]) -> Any:  # noqa: ANN401
    at = int(length) if length is not None else len(body)
    shown = json.loads(body[:at])
    for output in shown["outputs"]:
        dtype = np.dtype(DTYPES[output["datatype"]])
        told = output.get("parameters", {}).get("binary_data_size")
        if told is None:
            values = np.array(output.pop("data"), dtype).tobytes()
        else:
            values, at = body[at : at + told], at + told
        output["binary"] = told is not None
        # bytes, so that NaN equals NaN
        output["values"] = values.hex()
    assert at == len(body), "bytes are left over"
    # the order is not guaranteed: clients look for names
    shown["outputs"].sort(key=lambda output: output["name"])
    return shown | {"content-type": headers.get("content-type")}


def _reduced(path: str, shown: Any, model: str) -> Any:  # noqa: ANN401
    """Return the part that both servers should answer alike; Triton serves other models too."""
    if path == "/v2":
        return sorted(shown)
    if path.startswith("/v2/health") or path.endswith("/ready"):
        return None
    if path.endswith("/stats"):
        return [_kinds(each) for each in shown["model_stats"] if each["name"] == model]
    if path.endswith("/config"):
        return {name: shown[name] for name in ("name", "max_batch_size", "input", "output")}
    if path == "/v2/repository/index":
        return [each for each in shown if each["name"] == model]
    return shown | {"platform": ""}


def _kinds(value: Any) -> Any:  # noqa: ANN401
    """Return the names in an object and the types of their values."""
    if isinstance(value, dict):
        return {name: _kinds(each) for name, each in value.items() if name != "response_stats"}
    if isinstance(value, list):
        return [_kinds(each) for each in value[:1]]
    return type(value).__name__
