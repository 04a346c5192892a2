"""The address of a server, parsed from its URL."""

import ssl
from urllib.parse import urlsplit

import msgspec

from coresplit.errors import UsageError


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Host, port and path of a URL; ``tls`` says whether it is https."""

    host: str
    port: int
    path: str
    tls: bool

    @property
    def authority(self) -> str:
        """Host and port in the format of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_url(url: str) -> Address:
    """Parse an http or https URL; raises UsageError for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"'{url}' is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"'{url}' is not a URL; write for example http://127.0.0.1:8080/v2/models/NAME"
        )
    if parts.username is not None:
        raise UsageError("a URL with a user name is not supported; send a header instead")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(letter <= " " or letter == "\x7f" for letter in path):
        raise UsageError(f"'{url}' has characters that must be written as %XX")
    tls = parts.scheme == "https"
    return Address(host=parts.hostname, port=port or (443 if tls else 80), path=path, tls=tls)


def tls_context(address: Address, authority: str | None) -> ssl.SSLContext | None:
    """Return the TLS context, None for http; ``authority`` is a file of additional certificates."""
    if not address.tls:
        return None
    context = ssl.create_default_context()
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"the certificates in {authority} cannot be used: {error}") from error
    return context
