"""A custom runtime of MLServer that takes raw numbers at an address of its own.

Its protocol is JSON over HTTP, with no binary data; a handler of one's own is its way around that,
and gives its workers the body as bytes.
"""

from typing import Annotated

from fastapi import Body, Response
from mlserver import MLModel
from mlserver.handlers import custom_handler
from served import bytes_of, load, options, rows_of

given = options()


class Inference(MLModel):  # type: ignore[misc]
    async def load(self) -> bool:
        self._model = load(given)
        return True

    @custom_handler(rest_path="/infer")  # type: ignore[misc]
    async def infer(
        self, body: Annotated[bytes, Body(media_type="application/octet-stream")]
    ) -> Response:
        found = self._model(rows_of(body, given.inputs))
        return Response(bytes_of(found), media_type="application/octet-stream")
