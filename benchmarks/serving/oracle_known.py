"""Why coresplit answers otherwise than Triton, where it does."""

import json
import zlib

import numpy as np
from oracle_answers import Answer, meaning
from oracle_requests import DTYPES, Case

_MISTAKES = "a mistake of the client is 4xx here; Triton has 5xx for what its JSON reader refuses"
_HALF = "FP16 may be JSON numbers here; Triton takes and gives it in binary only"
_NOT_OFFERED = "what is not offered is 404: model control, generate, traces, logging, shared memory"
_EXTENSIONS = (
    "model control: ",
    "path: generate",
    "path: traces",
    "path: logging",
    "path: shared ",
)
_Reasons = dict[str, tuple[str, ...]]
_ACCEPTED_THERE: _Reasons = {
    "what is no JSON by its standard is refused here, and not sent: NaN and infinity too": (
        "JSON: a byte order mark", "JSON: no UTF-8", "JSON: zero byte", "JSON: NaN",
        "values: nan, JSON wanted", "values: inf, JSON wanted", "values: -inf, JSON wanted",
    ),
    "values lie flat or nested as the shape says; Triton flattens any nesting": (
        "data: nested 20 deep", "data: nested 90 deep", "data: uneven lists",
        "data: a list among numbers",
    ),
    "a value that its type does not have is refused; Triton cuts it to other ones": (
        "data: out of range", "data: huge float", "data: a number beyond 64 bits",
    ),
    "what is of the wrong type is refused; Triton does not look": (
        "input: parameters no object", "outputs: parameters no object",
    ),
    "a number is a number to its end; Triton reads as far as it can": (
        "length: number and more", "path: version with zeros", "length: no number",
    ),
    "a compressed body that is damaged is refused; Triton takes what it could unpack": (
        "body: gzip cut short", "body: gzip and more",
    ),
    "an output can be asked for once; Triton ignores the second time": ("outputs: twice",),
    "classes and sequences, which have no meaning here, are refused, not ignored": (
        "outputs: classes", "outputs: no classes", "parameters: sequence",
    ),
    "a shape is held against the model; Triton lets pass what its product hides, with 0 or 2**62": (
        "shape: beyond 32 bits", "shape: size wraps around", "shape: zero",
    ),
    "the body of an index request is an object": ("index: []", "index: null"),
}  # fmt: skip
_REFUSED_THERE: _Reasons = {
    "HEAD is allowed where GET is, as HTTP asks for": (
        "server metadata: HEAD", "live: HEAD", "ready: HEAD", "model metadata: HEAD",
        "model ready: HEAD", "config: HEAD", "statistics: HEAD",
    ),
    "a raw tensor may have several rows; Triton takes it for one": ("raw: several rows",),
    "escapes in a path are read; Triton takes them as they are": (
        "path: escaped", "path: escaped, GET",
    ),
    "metrics are at the same port; Triton has them at another one": (
        "path: metrics, GET", "path: metrics, POST",
    ),
}  # fmt: skip
_OTHER: _Reasons = {
    "of a name that is there twice in an object the last counts; for Triton the first": (
        "JSON: a name twice",
    ),
    "a truth value other than 0 and 1 is 1 here; Triton gives the byte to the model": (
        "values: a truth value of 2, binary wanted",
    ),
}  # fmt: skip
_BY_DEFAULT = (
    "binary_data_output is for outputs that are named too, where they do not say otherwise; Triton "
    "looks at it only where none is named"
)


def reason(case: Case, theirs: Answer, ours: Answer, what: str) -> str:
    """The reason, empty where there is none."""
    if "FP16 data via JSON" in theirs.error:
        return _HALF
    if what == "another answer":
        if b'"binary_data_output": true' in _json(case) and b'"outputs"' in _json(case):
            return _BY_DEFAULT
        return _of(case.kind, _OTHER) or _imprecise(case, theirs, ours)
    if ours.status == 404 and case.kind.startswith(_EXTENSIONS):
        return _NOT_OFFERED
    if theirs.group == "5xx" and ours.group == "4xx":
        return "" if case.kind.startswith("right") else _MISTAKES
    known = {("2xx", "4xx"): _ACCEPTED_THERE, ("4xx", "2xx"): _REFUSED_THERE}
    return _of(case.kind, known.get((theirs.group, ours.group), {}))


def _json(case: Case) -> bytes:
    """The JSON of a request, and what follows it."""
    headers = dict(case.headers)
    if headers.get("Content-Encoding") in ("gzip", "deflate"):
        return zlib.decompress(case.body, 47)
    if "Transfer-Encoding" in headers:
        return case.body.replace(b"\r\n64\r\n", b"")
    return case.body


def _of(kind: str, reasons: _Reasons) -> str:
    return next((why for why, kinds in reasons.items() if kind in kinds), "")


def _imprecise(case: Case, theirs: Answer, ours: Answer) -> str:
    """Triton's JSON reader may miss a double by its last bit."""
    if "/echo_FP64/infer" not in case.target.replace("/versions/1", ""):
        return ""
    found = [meaning(case, answer, "") for answer in (theirs, ours)]
    values = []
    for each in found:
        (output,) = each["outputs"]
        values.append(np.frombuffer(bytes.fromhex(output.pop("values")), DTYPES["FP64"]))
    near = np.allclose(values[0], values[1], rtol=4e-16, atol=0)
    same = json.dumps(found[0]) == json.dumps(found[1])
    if not (near and same):
        return ""
    return "JSON numbers are read exactly; Triton may miss a double by its last bit"
