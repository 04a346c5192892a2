"""The reasons for which coresplit answers differently from Triton."""

import json
import zlib

import numpy as np
from oracle_answers import Answer, meaning
from oracle_requests import DTYPES, Case

_MISTAKES = "a mistake of the client is 4xx here; Triton answers 5xx if its JSON reader fails"
_HALF = "FP16 may be JSON numbers here; Triton takes and sends it in binary only"
_NOT_OFFERED = "not supported, so 404: model control, generate, traces, logging, shared memory"
_EXTENSIONS = (
    "model control: ",
    "path: generate",
    "path: traces",
    "path: logging",
    "path: shared ",
)
_Reasons = dict[str, tuple[str, ...]]
_ACCEPTED_THERE: _Reasons = {
    "JSON that breaks its standard is refused here, and never sent: NaN and infinity too": (
        "JSON: a byte order mark", "JSON: no UTF-8", "JSON: zero byte", "JSON: NaN",
        "values: nan, JSON wanted", "values: inf, JSON wanted", "values: -inf, JSON wanted",
    ),
    "values must be flat or nested like the shape; Triton flattens any nesting": (
        "data: nested 20 deep", "data: nested 90 deep", "data: uneven lists",
        "data: a list among numbers",
    ),
    "a value outside the range of its type is refused; Triton truncates it": (
        "data: out of range", "data: huge float", "data: a number beyond 64 bits",
    ),
    "parameters of the wrong type are refused; Triton does not check": (
        "input: parameters no object", "outputs: parameters no object",
    ),
    "numbers are parsed strictly; Triton reads as far as it can": (
        "length: number and more", "path: version with zeros", "length: no number",
    ),
    "a damaged compressed body is refused; Triton takes the part that it can unpack": (
        "body: gzip cut short", "body: gzip and more",
    ),
    "an output may be requested only once; Triton ignores the second time": ("outputs: twice",),
    "classes and sequences are not supported: they are refused, not ignored": (
        "outputs: classes", "outputs: no classes", "parameters: sequence",
    ),
    "every dimension is checked; Triton misses errors that the product hides, with 0 or 2**62": (
        "shape: beyond 32 bits", "shape: size wraps around", "shape: zero",
    ),
    "the body of an index request must be an object": ("index: []", "index: null"),
}  # fmt: skip
_REFUSED_THERE: _Reasons = {
    "HEAD is allowed wherever GET is, as HTTP requires": (
        "server metadata: HEAD", "live: HEAD", "ready: HEAD", "model metadata: HEAD",
        "model ready: HEAD", "config: HEAD", "statistics: HEAD",
    ),
    "a raw tensor may have several rows; Triton takes it for one row": ("raw: several rows",),
    "escapes in a path are decoded; Triton does not decode them": (
        "path: escaped", "path: escaped, GET",
    ),
    "metrics are on the same port; Triton has them on another one": (
        "path: metrics, GET", "path: metrics, POST",
    ),
}  # fmt: skip
_OTHER: _Reasons = {
    "if an object has a name twice, the last one counts; for Triton the first": (
        "JSON: a name twice",
    ),
    "a boolean other than 0 and 1 is 1 here; Triton passes the byte to the model": (
        "values: a truth value of 2, binary wanted",
    ),
}  # fmt: skip
_BY_DEFAULT = (
    "binary_data_output also applies to named outputs that do not say otherwise; Triton uses it "
    "only if no output is named"
)


def reason(case: Case, theirs: Answer, ours: Answer, what: str) -> str:
    """Return the reason for a difference, or an empty string."""
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
    """Return the JSON of a request and what follows it."""
    headers = dict(case.headers)
    if headers.get("Content-Encoding") in ("gzip", "deflate"):
        return zlib.decompress(case.body, 47)
    if "Transfer-Encoding" in headers:
        return case.body.replace(b"\r\n64\r\n", b"")
    return case.body


def _of(kind: str, reasons: _Reasons) -> str:
    return next((why for why, kinds in reasons.items() if kind in kinds), "")


def _imprecise(case: Case, theirs: Answer, ours: Answer) -> str:
    """Return the reason if the answers differ only in the last bit of doubles, or nothing."""
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
