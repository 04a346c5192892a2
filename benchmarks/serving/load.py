"""A closed loop of clients over raw sockets, in a separate process.

    python benchmarks/serving/load.py

Reads one JSON document per line and answers each with another. ``open`` connects; ``run`` lets
every connection send requests one after the other, for some seconds or some requests in total;
``close`` disconnects. Needs only the standard library, so it is small and starts fast.

The first number of a request's tensor is different each time, and the model must return it
as the first number of its output, unless ``tagged`` is false. Status, length and tag of every
answer are checked after its time is taken.
"""

import json
import random
import re
import select
import socket
import struct
import sys
import time
from array import array
from functools import cache
from typing import Any

TAG = struct.Struct("<f")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_MOST_TAG = 1 << 20
_ROOM = 1 << 18
_PATIENCE_S = 60


class Wrong(Exception):
    """An answer is wrong."""


class Client:
    """One connection and the request that it sends repeatedly."""

    def __init__(self, job: dict[str, Any], number: int) -> None:
        self.socket = socket.create_connection((job["host"], job["port"]), timeout=_PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lead = job["lead"].encode()
        length = len(lead) + 4 * job["floats"]
        head = f"{job['head']}Content-Length: {length}\r\n\r\n".encode()
        self._request = bytearray(head + lead + numbers(job["floats"]))
        self._at = len(head) + len(lead)
        self._view = memoryview(self._request)
        self._tagged = job["tagged"]
        self._output = 4 * job["outputs"]
        self._tag = number
        self._room = bytearray(_ROOM)
        self._room_view = memoryview(self._room)
        self._sent = self._got = self._wanted = 0
        self.begun = 0

    def begin(self) -> None:
        """Prepare the next request with a new tag."""
        self._tag = (self._tag + 1) % _MOST_TAG
        TAG.pack_into(self._request, self._at, self._tag)
        self._sent = self._got = self._wanted = 0
        self.begun = time.perf_counter_ns()

    def send(self) -> bool:
        """Send as much as possible; return True if the whole request has been sent."""
        try:
            while self._sent < len(self._request):
                self._sent += self.socket.send(self._view[self._sent :])
        except BlockingIOError:
            return False
        return True

    def receive(self) -> bool:
        """Receive as much as possible; return True if the whole answer has arrived."""
        try:
            while True:
                count = self.socket.recv_into(self._room_view[self._got :])
                if not count:
                    raise Wrong("the server has closed the connection")
                self._got += count
                if not self._wanted:
                    end = self._room.find(b"\r\n\r\n", 0, self._got)
                    if end < 0:
                        continue
                    length = _LENGTH.search(self._room, 0, end + 2)
                    if length is None:
                        raise Wrong(f"an answer without length: {bytes(self._room[:end])!r}")
                    self._wanted = end + 4 + int(length[1])
                if self._got >= self._wanted:
                    return True
        except BlockingIOError:
            return False

    def check(self) -> None:
        """Raise Wrong if status, length or content is not as expected."""
        if not self._room.startswith(b"HTTP/1.1 200"):
            raise Wrong(bytes(self._room[: self._got])[:500].decode(errors="replace"))
        body = self._wanted - self._room.find(b"\r\n\r\n", 0, self._got) - 4
        if body < self._output or self._got != self._wanted:
            raise Wrong(f"an answer of {body} bytes for {self._output} of output")
        first = TAG.unpack_from(self._room, self._wanted - self._output)[0]
        if self._tagged and first != self._tag:
            raise Wrong(f"the answer to request {self._tag} begins with {first}")


@cache
def numbers(count: int) -> bytes:
    """Return the tensor of a request before its first number is set: the same every time."""
    drawn = random.Random(0)
    return array("f", (drawn.random() for _ in range(count))).tobytes()


def run_one(client: Client, count: int, seconds: float) -> tuple[list[int], float]:
    """Run one blocking connection; return the durations in ns and the total seconds."""
    took: list[int] = []
    begin = time.perf_counter_ns()
    end = begin + int(seconds * 1e9)
    while len(took) < count and time.perf_counter_ns() < end:
        client.begin()
        client.send()
        client.receive()
        took.append(time.perf_counter_ns() - client.begun)
        client.check()
    return took, (time.perf_counter_ns() - begin) * 1e-9


def run_all(clients: list[Client], count: int, seconds: float) -> tuple[list[int], float]:
    """Run many connections at once; requests that began before the end are finished."""
    took: list[int] = []
    waiting = select.epoll()
    flags = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
    by_number = {client.socket.fileno(): client for client in clients}
    for number, client in by_number.items():
        client.socket.setblocking(False)
        waiting.register(number, flags)
    begin = time.perf_counter_ns()
    end = begin + int(seconds * 1e9)
    sending = set(by_number)
    begun = len(by_number)
    for client in clients:
        client.begin()
    left = set(by_number)
    while left:
        events = waiting.poll(_PATIENCE_S)
        if not events:
            raise Wrong(f"no answer within {_PATIENCE_S} s")
        for number, event in events:
            client = by_number[number]
            if number in sending and client.send():
                sending.discard(number)
            if number in sending or not event & ~select.EPOLLOUT or not client.receive():
                continue
            now = time.perf_counter_ns()
            took.append(now - client.begun)
            client.check()
            if now >= end or begun >= count:
                # the server may close it while we wait for the others
                waiting.unregister(number)
                left.discard(number)
                continue
            begun += 1
            client.begin()
            if not client.send():
                sending.add(number)
    waiting.close()
    return took, (time.perf_counter_ns() - begin) * 1e-9


def main() -> None:
    clients: list[Client] = []
    for line in sys.stdin:
        job = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if job["do"] == "open":
                clients = [Client(job, 1000 * number) for number in range(job["connections"])]
            elif job["do"] == "run":
                cpu = time.process_time()
                count, seconds = job["count"], job["seconds"]
                one = len(clients) == 1
                run = (
                    run_one(clients[0], count, seconds) if one else run_all(clients, count, seconds)
                )
                answer = {"took": run[0], "seconds": run[1], "cpu": time.process_time() - cpu}
            else:
                for client in clients:
                    client.socket.close()
                clients = []
        except (OSError, Wrong) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
