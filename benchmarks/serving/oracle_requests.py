"""Seeded requests for ``oracle.py``: valid ones of every form, and ones with one mistake each."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from oracle_servers import MOST_ROWS, Model

DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
LENGTH = "Inference-Header-Content-Length"


class Case(msgspec.Struct, frozen=True):
    """A request as it is sent; ``kind`` says what it asks for, or what is wrong with it."""

    kind: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = "1.1"

    @property
    def wire(self) -> bytes:
        """All bytes; Content-Length is added if no header says how the body ends."""
        names = {name.lower() for name, _ in self.headers}
        lines = [f"{self.method} {self.target} HTTP/{self.version}"]
        lines += ["Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        told = names & {"content-length", "transfer-encoding"}
        if not told and (self.body or self.method in ("POST", "PUT", "PATCH")):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class Draft:
    """An inference request under construction, valid until a mistake is put into it."""

    def __init__(self, model: Model, dice: random.Random, binary: bool | None = None) -> None:
        self.model = model
        self.dice = dice
        self.rows = dice.choice([1, 1, 2, 3, 5])
        self.top: dict[str, Any] = {}
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] | None = None
        self.tail: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.method = "POST"
        self.version = "1.1"
        self.target = f"/v2/models/{model.name}/infer"
        self.edit: Callable[[bytes], bytes] = lambda header: header
        self.send: Callable[[bytes], bytes] = lambda body: body
        self.length: Callable[[int], str | None] | None = None
        self.arrays = [
            values(model.datatype, (self.rows, *model.shape), dice) for _ in model.inputs
        ]
        for name, array in zip(model.inputs, self.arrays, strict=True):
            as_binary = dice.random() < 0.5 if binary is None else binary
            if model.datatype == "FP16" and binary is None:
                as_binary = True
            self.add(name, array, as_binary)

    def add(self, name: str, array: NDArray[Any], as_binary: bool) -> None:
        """Add an input."""
        shown: dict[str, Any] = {
            "name": name,
            "shape": list(array.shape),
            "datatype": self.model.datatype,
        }
        if as_binary:
            self.tail.append(array.tobytes())
            shown["parameters"] = {"binary_data_size": array.nbytes}
        else:
            nested = self.dice.random() < 0.5
            shown["data"] = (array if nested else array.reshape(-1)).tolist()
        self.inputs.append(shown)

    def built(self, kind: str) -> Case:
        """Return the finished request."""
        if self.outputs is not None:
            self.top["outputs"] = self.outputs
        header = self.edit(json.dumps({**self.top, "inputs": self.inputs}).encode())
        told = self.length(len(header)) if self.length is not None else None
        if self.length is None and self.tail:
            told = str(len(header))
        headers = dict(self.headers)
        if told is not None:
            headers[LENGTH] = told
        body = self.send(header + b"".join(self.tail))
        return Case(kind, self.method, self.target, tuple(headers.items()), body, self.version)


def values(datatype: str, shape: tuple[int, ...], dice: random.Random) -> NDArray[Any]:
    """Return values of a type: mostly small ones, and its limits."""
    dtype = np.dtype(DTYPES[datatype])
    size = int(np.prod(shape))
    if dtype.kind == "b":
        return np.array([dice.random() < 0.5 for _ in range(size)], dtype).reshape(shape)
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        rare = [0.0, -0.0, float(limits.max), float(limits.min), float(limits.tiny), 0.1]
        found = [
            dice.choice(rare) if dice.random() < 0.1 else dice.gauss(0, 9) for _ in range(size)
        ]
        return np.array(found, dtype).reshape(shape)
    least, most = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    near = (max(least, -9), min(most, 99))
    numbers = [
        dice.choice([least, most]) if dice.random() < 0.1 else dice.randint(*near)
        for _ in range(size)
    ]
    return np.array(numbers, dtype).reshape(shape)


def right(model: Model, dice: random.Random) -> Case:
    """Return a valid request with any form of inputs, outputs, name and transport."""
    draft = Draft(model, dice)
    dice.shuffle(draft.inputs)
    # binary data is in the order of the inputs
    draft.tail = [
        draft.arrays[model.inputs.index(each["name"])].tobytes()
        for each in draft.inputs
        if "data" not in each
    ]
    if dice.random() < 0.5:
        names = dice.sample(model.outputs, dice.randint(1, len(model.outputs)))
        draft.outputs = [{"name": name} for name in names]
        for each in draft.outputs:
            if dice.random() < 0.6:
                each["parameters"] = {"binary_data": dice.random() < 0.5}
    wanted: dict[str, Any] = {}
    if dice.random() < 0.3:
        wanted["binary_data_output"] = dice.random() < 0.5
    if dice.random() < 0.3:
        wanted |= dice.choice(
            [{"mine": "text"}, {"number": 7, "flag": True}, {"priority": 0}, {"timeout": 10**8}]
        )
    if wanted:
        draft.top["parameters"] = wanted
    if dice.random() < 0.5:
        draft.top["id"] = dice.choice(["1", "a b", "é😀", "x" * 300, 'q"\\'])
    if dice.random() < 0.2:
        draft.target = f"/v2/models/{model.name}/versions/1/infer"
    if dice.random() < 0.2:
        draft.target += "?trace=1&other"
    if model.datatype == "FP16":
        _all_binary(draft)
    if dice.random() < 0.1:
        draft.version = "1.0"
    else:
        transport(draft)
    return draft.built("right")


def transport(draft: Draft) -> None:
    """Compress or chunk the body, or neither; sometimes ask for a compressed answer."""
    dice = draft.dice
    how = dice.choice(["plain", "plain", "gzip", "deflate", "chunked"])
    if how == "gzip":
        draft.send = gzip.compress
        draft.headers["Content-Encoding"] = "gzip"
    elif how == "deflate":
        draft.send = zlib.compress
        draft.headers["Content-Encoding"] = "deflate"
    elif how == "chunked":
        draft.send = chunked
        draft.headers["Transfer-Encoding"] = "chunked"
    if dice.random() < 0.2:
        draft.headers["Accept-Encoding"] = dice.choice(
            ["gzip", "deflate", "identity", "br", "gzip, deflate", "*", "gzip;q=0, deflate", "x;;"]
        )
    if dice.random() < 0.5:
        draft.headers["Content-Type"] = dice.choice(["application/json", "text/plain"])


def chunked(body: bytes) -> bytes:
    """Return the body in chunks of a hundred bytes."""
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def raw(model: Model, dice: random.Random) -> Case:
    """Return a request with one tensor and no JSON."""
    rows = dice.choice([1, 1, 1, 2, 33])
    body = values(model.datatype, (rows, *model.shape), dice).tobytes()
    draft = Draft(model, dice)
    draft.send = lambda _: body
    draft.length = lambda _: "0"
    return draft.built("right: raw" if rows == 1 else "raw: several rows")


def odd_values(model: Model) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield values that JSON cannot express or that are invalid, each with its description."""
    dtype, shape = np.dtype(DTYPES[model.datatype]), (1, *model.shape)
    if dtype.kind == "f":
        for value in (np.nan, np.inf, -np.inf):
            yield f"values: {value}", np.full(shape, value, dtype)
    if dtype.kind == "b":
        yield "values: a truth value of 2", np.full(shape, 2, np.uint8)


def too_many_rows(model: Model, dice: random.Random) -> Case:
    """Return a request with one row more than the server takes."""
    draft = Draft(model, dice, binary=True)
    array = values(model.datatype, (MOST_ROWS + 1, *model.shape), dice)
    draft.inputs, draft.tail = [], []
    for name in model.inputs:
        draft.add(name, array, True)
    return draft.built("shape: more rows than are taken")


def _all_binary(draft: Draft) -> None:
    """Request all outputs in binary: the protocol has no JSON for FP16."""
    draft.top.setdefault("parameters", {})["binary_data_output"] = True
    for each in draft.outputs or []:
        each["parameters"] = {"binary_data": True}
