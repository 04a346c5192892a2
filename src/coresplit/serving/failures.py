"""Reasons why a request fails, with the HTTP status, and why an instance does not start."""

from coresplit.errors import CoresplitError, InstanceError
from coresplit.serving.queue import Failure

STOPPED = Failure(503, "the server was stopped")
GONE = Failure(499, "the client has left")
LATE = Failure(504, "the request was not answered before its timeout")
UNREADY = Failure(503, "no instance is ready")
TOO_LATE = Failure(504, "the request cannot be answered before its timeout")


def start_failure(error: CoresplitError | OSError) -> InstanceError:
    """Return the error of an instance that cannot be started, for example without its allocator."""
    if isinstance(error, InstanceError):
        return error
    if isinstance(error, OSError):
        return InstanceError(f"an instance cannot be started: {error.strerror}")
    what = f"an instance cannot be started: {error.what}"
    return InstanceError(what, error.template, error.option)
