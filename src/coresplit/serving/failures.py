"""Reasons why a request fails, with the HTTP status."""

from coresplit.serving.queue import Failure

STOPPED = Failure(503, "the server was stopped")
GONE = Failure(499, "the client has left")
LATE = Failure(504, "the request was not answered before its timeout")
UNREADY = Failure(503, "no instance is ready")
TOO_LATE = Failure(504, "the request cannot be answered before its timeout")
