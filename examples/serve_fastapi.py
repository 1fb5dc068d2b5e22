"""A network behind HTTP: an image in as .npy bytes, the outputs back as .npy bytes.

    pip install convlite fastapi uvicorn uvicorn-worker gunicorn
    export MODEL=model.npz WEB_CONCURRENCY=2
    uvicorn serve_fastapi:app --app-dir examples
    gunicorn serve_fastapi:app --chdir examples --preload -k uvicorn_worker.UvicornWorker

WEB_CONCURRENCY is the number of workers, for both servers. With `--preload` the network is loaded, and its
weights are packed, before the workers are forked, so that these share them. Threads a worker: the cores that
the container's quota allows over the number of workers, unless CONVLITE_NUM_THREADS says it. Requests
are not put together into batches here: a batch of a server's own (Ray Serve, Triton, a queue) calls `net`
with more images at once.
"""

from __future__ import annotations

import asyncio
import io
import os

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response

import convlite as cl

MOST_BYTES = 64 << 20

net = cl.load(os.environ["MODEL"])
(declared,) = net.inputs
if "CONVLITE_NUM_THREADS" not in os.environ:  # what convlite takes by itself is the quota of the container
    cl.set_num_threads(max(1, cl.get_num_threads() // int(os.environ.get("WEB_CONCURRENCY", "1"))))


def warm(size: int = 224) -> None:
    """One call, before the workers are forked: it packs the weights."""
    sides = iter((size, size))
    shape = [1, *(axis if isinstance(axis, int) else next(sides) for axis in (declared.shape or ())[1:])]
    net(np.zeros(shape, declared.dtype))
    net.release()  # the arenas: each worker makes its own


warm(int(os.environ.get("SIZE", "224")))
app = FastAPI()


def answered(data: bytes) -> bytes:
    """The output for the array in `data`; ValueError and TypeError say what is wrong with it."""
    if data[:6] != b"\x93NUMPY":
        raise ValueError("the body must be the bytes that np.save writes")
    x = np.load(io.BytesIO(data), allow_pickle=False)
    out = net(x)
    written = io.BytesIO()
    np.save(written, out if isinstance(out, np.ndarray) else out[0])
    return written.getvalue()


@app.post("/predict")
async def predict(request: Request) -> Response:
    """Computed in a thread: the interpreter's lock is not held meanwhile, so that other requests are read."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
    try:
        return Response(await asyncio.to_thread(answered, data), media_type="application/octet-stream")
    except (ValueError, TypeError, EOFError) as error:
        raise HTTPException(422, str(error)) from None


@app.get("/health")
def health() -> dict[str, str | int]:
    """For the load balancer."""
    return {"network": net.name, "convlite": cl.__version__, "threads": cl.get_num_threads()}
