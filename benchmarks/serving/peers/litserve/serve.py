"""LitServe with raw numbers in the body, which FastAPI, that it is built on, reads for it.

It knows no raw body itself: JSON or a form would be its ways. The bytes are wrapped because it
formats every request for its log, whether that is written or not: 12 ms for a bare megabyte.
"""

from typing import Annotated, Any

import litserve
from fastapi import Depends, Request, Response
from served import Rows, bytes_of, joined, load, options, parted, rows_of

given = options()


class Body:
    """The bytes of a request."""

    def __init__(self, data: bytes) -> None:
        self.data = data


async def body_of(request: Request) -> Body:
    return Body(await request.body())


Raw = Annotated[Body, Depends(body_of)]


class Inference(litserve.LitAPI):  # type: ignore[misc,name-defined]
    def setup(self, device: object) -> None:
        self.model = load(given)

    def decode_request(self, request: Raw) -> Rows:
        return rows_of(request.data, given.inputs)

    def batch(self, inputs: list[Rows]) -> Rows:
        return joined(inputs)

    def predict(self, x: Rows) -> Rows:
        return self.model(x)

    def unbatch(self, output: Rows) -> list[Rows]:
        # a row from each request, as the client sends them
        return parted(output, [1] * len(output[0]))

    def encode_response(self, output: Rows) -> Response:
        return Response(bytes_of(output), media_type="application/octet-stream")


if __name__ == "__main__":
    more: dict[str, Any] = {"fast_queue": True} if given.workers > 1 or given.batch > 1 else {}
    api = Inference(
        max_batch_size=given.batch, batch_timeout=given.delay_ms / 1000, api_path="/infer"
    )
    more["timeout"] = given.timeout_ms / 1000 or 60
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=given.workers, **more)
    server.run(host="127.0.0.1", port=given.port, log_level="warning", generate_client_file=False)
