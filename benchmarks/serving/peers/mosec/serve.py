"""mosec with raw numbers in the body, by the two methods that it has for that."""

import os
import sys
from collections.abc import Sequence

from mosec import Server, Worker
from served import Rows, bytes_of, joined, load, options, parted, rows_of

given = options()


class One(Worker):
    """A request at a time."""

    resp_mime_type = "application/octet-stream"

    def __init__(self) -> None:
        super().__init__()
        self.model = load(given)

    def deserialize(self, data: bytes) -> Rows:
        return rows_of(data, given.inputs)

    def serialize(self, data: Rows) -> bytes:
        return bytes_of(data)

    def forward(self, data: Rows) -> Rows:
        return self.model(data)


class Several(One):
    """Those that came within the delay together."""

    def forward(self, data: Sequence[Rows]) -> list[Rows]:  # type: ignore[override]
        return parted(self.model(joined(data)), [len(each[0]) for each in data])


if __name__ == "__main__":
    sys.argv[1:] = []
    os.environ |= {
        "MOSEC_PORT": str(given.port),
        "MOSEC_ADDRESS": "127.0.0.1",
        "MOSEC_LOG_LEVEL": "warning",
        # the default of 3 s is too short for 32 clients of a slow model
        "MOSEC_TIMEOUT": str(given.timeout_ms or 60000),
    }
    server = Server()
    server.append_worker(
        Several if given.batch > 1 else One,
        num=given.workers,
        max_batch_size=given.batch,
        max_wait_time=given.delay_ms,
        route="/infer",
    )
    server.run()
