"""FastAPI as people write it by hand: raw numbers in the body, the model in the handler."""

import uvicorn
from fastapi import FastAPI, Request, Response
from served import bytes_of, load, options, rows_of

given = options()
app = FastAPI()
# uvicorn imports this file again, in each of its workers
model = load(given) if __name__ != "__main__" else None


@app.post("/infer")
async def infer(request: Request) -> Response:
    assert model is not None
    found = model(rows_of(await request.body(), given.inputs))
    return Response(bytes_of(found), media_type="application/octet-stream")


if __name__ == "__main__":
    uvicorn.run("serve:app", port=given.port, workers=given.workers, log_level="warning")
