"""A precise timer: asyncio rounds to milliseconds, which would count as latency."""

import asyncio
import ctypes
import os
import time
from collections.abc import Callable

_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK
_ABSOLUTE = 1
_SLACK = 29
"""PR_SET_TIMERSLACK: by default the kernel may wake a process 50 us late."""


class _Spec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


class Timer:
    """Calls ``due`` once, on the event loop, at a time of the monotonic clock; uses timerfd."""

    def __init__(self, due: Callable[[], None]) -> None:
        self._due = due
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_SLACK, 1, 0, 0, 0)
        self._fd = self._libc.timerfd_create(time.CLOCK_MONOTONIC, _CLOEXEC_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Spec()
        self._pointer = ctypes.byref(self._spec)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._ring)

    def set(self, at: float) -> None:
        """Ring at ``at``, or at once if that has passed; replaces the time set before."""
        # zero would switch the timer off
        whole, part = divmod(max(int(at * 1e9), 1), 1_000_000_000)
        self._spec.value_s, self._spec.value_ns = whole, part
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._pointer, None)

    def close(self) -> None:
        """Never ring again."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _ring(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # the timer was set again meanwhile
        self._due()
