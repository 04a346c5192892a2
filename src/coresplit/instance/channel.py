"""Both ends of the pipe between a parent, which never has to wait for a message, and its child."""

import socket

from coresplit.instance.framing import Framing, framed

_MOST = 2**16


class Channel:
    """The parent's end of a socket pair; ``End`` is the child's."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._framing = Framing()

    def fileno(self) -> int:
        """Descriptor that is readable once bytes have arrived or the other end is closed."""
        return self._ours.fileno()

    def hand_over(self) -> socket.socket:
        """Return the other end; the caller passes it on and then closes it."""
        return self._theirs

    def send(self, message: bytes) -> None:
        """Write one message, waiting only while the pipe is full; raises OSError at its end."""
        self._ours.sendall(framed(message))

    def poll(self) -> bytes | None:
        """Return the next complete message that has arrived, or None; never waits.

        Call it until it returns None: one read may bring several messages, and the descriptor is
        not readable for those already read. Raises EOFError once the other end is closed and all
        messages are taken.
        """
        try:
            return _next(self._ours, self._framing, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()


class End:
    """The child's end, behind a descriptor that its parent has passed on."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._framing = Framing()

    def __enter__(self) -> "End":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def send(self, message: bytes) -> None:
        """Write one message, waiting only while the pipe is full; raises OSError at its end."""
        self._socket.sendall(framed(message))

    def receive(self) -> bytes:
        """Wait for the next message; raises EOFError once the parent has closed its end."""
        return _next(self._socket, self._framing)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def _next(end: socket.socket, framing: Framing, flags: int = 0) -> bytes:
    """Receive a complete message; raises EOFError at the end, BlockingIOError if ``flags`` say."""
    while (message := framing.message()) is None:
        try:
            data = end.recv(_MOST, flags)
        except ConnectionResetError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        framing.feed(data)
    return message
