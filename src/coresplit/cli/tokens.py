"""Secrets that servers and their clients share."""

from pathlib import Path

from coresplit.errors import UsageError


def read_token(file: Path) -> str:
    """The token in a file; raises UsageError for one that is none."""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"the token file {file} cannot be read: {reason}") from error
    if len(token) < 16 or not all(" " <= letter <= "~" for letter in token):
        raise UsageError(f"the token in {file} must be a line of 16 ASCII characters or more")
    return token
