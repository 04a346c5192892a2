"""Refusals of client requests, with their HTTP status.

They are answers to a client and never reach the command line, so they are not ``CoresplitError``s.
"""

_LONGEST = 100


class Refusal(Exception):
    """Base of all error answers; ``message`` is one sentence for the client."""

    status = 400

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    @property
    def headers(self) -> dict[str, str]:
        """Additional headers of the answer."""
        return {}


class BadRequest(Refusal):
    """The request is invalid."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class NotFound(Refusal):
    """No such endpoint, model or version."""

    status = 404


class MethodNotAllowed(Refusal):
    """The endpoint exists, the method does not; ``allow`` is the one that does."""

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    @property
    def headers(self) -> dict[str, str]:
        """The ``Allow`` header."""
        return {"Allow": self.allow}


class WrongOutput(Refusal):
    """The model's output does not match its signature; not the client's fault."""

    status = 500


def quoted(text: str) -> str:
    """Shorten and quote text from a client."""
    return f"'{shortened(text)}'"


def shortened(text: str) -> str:
    """Shorten text from a client, so that an answer does not repeat a megabyte."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
