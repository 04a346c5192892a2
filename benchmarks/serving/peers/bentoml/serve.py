"""BentoML with raw numbers in the body, by an ASGI application that it mounts.

Its own input types are JSON, files and forms. It batches calls from one service to another, so
that with batching the application is a service before the one with the model.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from served import bytes_of, joined, load, options, parted, rows_of

given = options()
os.environ |= {"BENTOML_DO_NOT_TRACK": "True"}

import bentoml  # noqa: E402 (it reads the environment)
from fastapi import FastAPI, Request, Response  # noqa: E402

app = FastAPI()
settings: dict[str, Any] = {"workers": given.workers} if given.workers > 1 else {}


def answer_of(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream")


if given.batch > 1:

    @bentoml.service(**settings)
    class Model:
        """Those requests that came within the delay together."""

        def __init__(self) -> None:
            self.model = load(given)

        @bentoml.api(batchable=True, max_batch_size=given.batch, max_latency_ms=60_000)
        def infer(self, bodies: list[bytes]) -> list[bytes]:
            rows = [rows_of(each, given.inputs) for each in bodies]
            found = self.model(joined(rows))
            return [bytes_of(each) for each in parted(found, [len(each[0]) for each in rows])]

    @bentoml.service
    @bentoml.asgi_app(app)
    class Inference:
        model = bentoml.depends(Model)

        @app.post("/infer")
        async def infer(self, request: Request) -> Response:
            found = await self.model.to_async.infer([await request.body()])
            return answer_of(found[0])

else:

    @bentoml.service(**settings)
    @bentoml.asgi_app(app)
    class Inference:  # type: ignore[no-redef]
        """A request at a time."""

        def __init__(self) -> None:
            self.model = load(given)

        @app.post("/infer")
        async def infer(self, request: Request) -> Response:
            return answer_of(bytes_of(self.model(rows_of(await request.body(), given.inputs))))


if __name__ == "__main__":
    os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="bentoml-")
    own = ["--host", "127.0.0.1", "--port", str(given.port)]
    program = Path(sys.executable).parent / "bentoml"
    os.execv(sys.executable, [sys.executable, str(program), "serve", "serve:Inference", *own])
