"""Ray Serve with raw numbers in the body, in a Ray of its own on this machine."""

import os
import tempfile
from typing import Any

from served import Rows, bytes_of, joined, load, options, parted, rows_of
from starlette.requests import Request
from starlette.responses import Response

given = options()
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
if given.workers > 1 or given.batch > 1:
    os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"

import ray  # noqa: E402 (it reads the environment)
from ray import serve  # noqa: E402


class One:
    """A request at a time."""

    def __init__(self) -> None:
        self.model = load(given)

    async def __call__(self, request: Request) -> Response:
        found = await self.infer(rows_of(await request.body(), given.inputs))
        return Response(bytes_of(found), media_type="application/octet-stream")

    async def infer(self, rows: Rows) -> Rows:
        return self.model(rows)


class Several(One):
    """Those that came within the delay together."""

    @serve.batch(  # type: ignore[untyped-decorator]
        max_batch_size=max(given.batch, 1), batch_wait_timeout_s=given.delay_ms / 1000
    )
    async def infer(self, rows: list[Rows]) -> list[Rows]:  # type: ignore[override]
        return parted(self.model(joined(rows)), [len(each[0]) for each in rows])


if __name__ == "__main__":
    more: dict[str, Any] = {}
    if given.batch > 1:
        more["max_ongoing_requests"] = 2 * given.batch
    if given.workers > 1:
        more["num_replicas"] = given.workers
    # the paths of its sockets must be short
    folder = tempfile.mkdtemp(prefix="ray-")
    ray.init(
        address="local", include_dashboard=False, _temp_dir=folder, logging_level="warning",
        log_to_driver=False,
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": given.port})
    deployment = serve.deployment(Several if given.batch > 1 else One, **more)
    serve.run(deployment.bind(), route_prefix="/infer", blocking=True)
