"""Request heads: parsed by llhttp, then checked for what llhttp lets through.

A head ends with an empty line, so data is fed to llhttp only up to there: the bytes after it belong
to a body or to the next request.
"""

import httptools

from coresplit.serving.http.limits import Limits
from coresplit.serving.http.message import Head, Refusal
from coresplit.serving.http.targets import check_host, read_target

END = b"\r\n\r\n"
# most heads are shorter; limits how much of the following body is copied in vain
_PIECE = 2 << 10
_ONCE = {"content-length", "transfer-encoding", "host"}
_UNSUPPORTED = ("Invalid HTTP version", "Pause on PRI/Upgrade")
_NEEDS_LENGTH = {"POST", "PUT", "PATCH"}
_CODINGS = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate", "identity": "", "": ""}


class HeadReader:
    """Reads one head; ``head`` is None until it is complete."""

    def __init__(self, limits: Limits) -> None:
        self.head: Head | None = None
        self.keep_alive = False
        self.wire_length: int | None = None
        """Bytes of the body as sent; None if chunked."""
        self.coding = ""
        """Compression of the body: "gzip", "deflate" or ""."""
        self.size = 0
        self._limits = limits
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._line = b""
        self._tail = b""
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._complete = False

    def feed(self, data: memoryview) -> int:
        """Take bytes from ``data`` and return their number; raises Refusal."""
        assert self._parser is not None
        piece = bytes(data[:_PIECE])
        joined = self._tail + piece
        at = joined.find(END)
        if at >= 0:
            piece = piece[: at + len(END) - len(self._tail)]
        else:
            self._tail = joined[-3:]
        if b"\r" not in self._line:
            # longer lines are refused, so this always includes the end of the line
            found = (self._line + piece).lstrip(b"\r\n") if self.size else piece.lstrip(b"\r\n")
            self._line = found[: self._limits.target_bytes + 64]
        self.size += len(piece)
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # the offer to upgrade is ignored
        except httptools.HttpParserError as error:
            raise self._refusal(error) from None
        finally:
            self._check_size()
        if self._complete:
            if at < 0:
                raise Refusal(400, "the head does not end with an empty line")
            self.head = self._built()
            # the parser refers to this object: break the cycle so that both are freed at once
            self._parser = None
        return len(piece)

    def _refusal(self, error: httptools.HttpParserError) -> Refusal:
        if isinstance(error, httptools.HttpParserInvalidMethodError) and self._line[:1].isupper():
            return Refusal(501, "the method is not supported")
        if str(error) in _UNSUPPORTED:
            return Refusal(505, "only HTTP/1.1 and HTTP/1.0 are supported")
        return Refusal(400, f"the request is malformed: {error}")

    def _check_size(self) -> None:
        if len(self._url) > self._limits.target_bytes:
            raise Refusal(414, f"the target is longer than {self._limits.target_bytes} bytes")
        if len(self._fields) > self._limits.headers:
            raise Refusal(431, f"there are more than {self._limits.headers} headers")
        if self.size > self._limits.head_bytes:
            raise Refusal(431, f"the head is longer than {self._limits.head_bytes} bytes")

    # called by llhttp

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the head."""
        assert self._parser is not None
        self._complete = True
        self.keep_alive = self._parser.should_keep_alive()

    # checks that llhttp does not make

    def _built(self) -> Head:
        assert self._parser is not None
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are supported")
        if not self._line.partition(b"\r")[0].endswith(b" HTTP/" + version.encode()):
            # llhttp also accepts RTSP and ICE
            raise Refusal(400, "the request is malformed: the protocol is not HTTP")
        method = self._parser.get_method().decode("latin-1")
        if method == "CONNECT":
            raise Refusal(501, "the method is not supported")
        headers = self._joined()
        path, query, host = read_target(self._url, method)
        if "host" in headers:
            check_host(headers["host"])
        elif version == "1.1":
            raise Refusal(400, "the Host header is missing")
        if host is not None:
            headers["host"] = host
        self.wire_length = self._length(method, version, headers)
        self.coding = self._coding(headers)
        length = None if self.coding and self.wire_length else self.wire_length
        return Head(method, path, query, headers, length, version)

    def _joined(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name_bytes, value_bytes in self._fields:
            name = name_bytes.decode("latin-1").lower()
            value = value_bytes.decode("latin-1").strip(" \t")
            if name not in headers:
                headers[name] = value
            elif name in _ONCE:
                raise Refusal(400, f"the header {name} is given twice")
            else:
                headers[name] += f", {value}"
        return headers

    def _length(self, method: str, version: str, headers: dict[str, str]) -> int | None:
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        if coding is not None:
            if length is not None or version == "1.0":
                raise Refusal(400, "Transfer-Encoding excludes Content-Length and HTTP/1.0")
            if coding.lower() != "chunked":
                raise Refusal(501, "the only transfer coding supported is chunked")
            return None
        if length is None:
            if version == "1.0" and method in _NEEDS_LENGTH:
                raise Refusal(411, "the Content-Length header is missing")
            return 0
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise Refusal(400, "the Content-Length header is not a number")
        if int(length) > self._limits.body_bytes:
            raise Refusal(413, f"the body is longer than {self._limits.body_bytes} bytes")
        return int(length)

    def _coding(self, headers: dict[str, str]) -> str:
        coding = _CODINGS.get(headers.get("content-encoding", "").lower())
        if coding is None:
            accepted = (("Accept-Encoding", "gzip, deflate"),)
            raise Refusal(415, "a body may be compressed with gzip or deflate", accepted)
        return coding
