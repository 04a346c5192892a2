"""Tokens shared by servers and their clients."""

from pathlib import Path

from coresplit.errors import UsageError


def read_token(file: Path) -> str:
    """Read the token from a file; raise UsageError if it is unreadable or not a valid token."""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"the token file {file} cannot be read: {reason}") from error
    if len(token) < 16 or not all(" " <= letter <= "~" for letter in token):
        raise UsageError(f"the token in {file} must be one line of at least 16 ASCII characters")
    return token
