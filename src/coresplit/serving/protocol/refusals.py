"""What a client is refused, with the status of HTTP.

They are answers to a client and never reach the command line, so they are no ``CoresplitError``.
"""

_LONGEST = 100


class Refusal(Exception):
    """Base of all answers that are no success; ``message`` is one sentence for the client."""

    status = 400

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer, besides those that every answer has."""
        return {}


class BadRequest(Refusal):
    """The request cannot be followed as sent."""

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
        """The method that the endpoint knows."""
        return {"Allow": self.allow}


class WrongOutput(Refusal):
    """The model gave something other than its signature says; not the client's fault."""

    status = 500


def quoted(text: str) -> str:
    """Quote what a client sent."""
    return f"'{shortened(text)}'"


def shortened(text: str) -> str:
    """Cut what a client sent: an answer does not repeat a megabyte."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
