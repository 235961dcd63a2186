"""The bound of an upload: the bytes that the command would send, encoded and packed before, posted by three threads.

    python scripts/bench/upload_posted.py FILE      prints the seconds that posting took

Its own wall holds the preparation too; upload.py takes what this prints.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from uuid import uuid4

import requests
import zstandard
from langsmith import Client

from evalrunner.delivery.spool.record import closing
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.upload.index import SOUND, Index
from evalrunner.transfer.upload.outbox import BATCH_BYTES, LINES
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.project import choose_shift, find
from evalrunner.transfer.upload.scan import extent, scan

BOUNDARY = f"evalrunner-{'0' * 32}"


def main() -> None:
    """Prepare, then post."""
    url, key = os.environ["LANGSMITH_ENDPOINT"], os.environ["LANGSMITH_API_KEY"]
    bodies: SimpleQueue[bytes] = SimpleQueue()
    for body in _bodies(Path(sys.argv[1]), url, key):
        bodies.put(body)
    threads = [threading.Thread(target=_post, args=(bodies, url, key)) for _ in range(LINES)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"posted in {time.perf_counter() - began:.4f}")


def _bodies(file: Path, url: str, key: str) -> list[bytes]:
    client = Client(api_url=url, api_key=key, auto_batch_tracing=False)
    project = str(uuid4())
    client.request_with_retries(
        "POST", "/sessions", request_kwargs={"json": {"id": project, "name": "bench"}}
    )
    packer, made, batch, size = zstandard.ZstdCompressor(level=1), [], [], 0
    with tempfile.TemporaryDirectory() as folder, Inputs((file,), Path(folder)) as inputs:
        scan(inputs, Path(folder) / "index.sqlite", 20 << 20, print)
        index = Index(Path(folder) / "index.sqlite")
        times = extent(index)
        assert times is not None
        shift = choose_shift(find(client, "none of this name"), None, times, int(time.time() * 1e6))
        plan = Plan(inputs, index, project, "bench", shift)
        for tree in index.trees(SOUND):
            body = b"".join(data for _, _, data in plan.encoded(BOUNDARY, plan.placed([tree])[tree.n]))
            batch.append(body)
            size += len(body)
            if size >= BATCH_BYTES:
                made.append(packer.compress(b"".join([*batch, closing(BOUNDARY)])))
                batch, size = [], 0
        index.close()
    if batch:
        made.append(packer.compress(b"".join([*batch, closing(BOUNDARY)])))
    return made


def _post(bodies: SimpleQueue[bytes], url: str, key: str) -> None:
    headers = {
        "x-api-key": key,
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
        "Content-Encoding": "zstd",
    }
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                body = bodies.get_nowait()
            except Empty:
                return
            session.post(f"{url}/runs/multipart", data=body, headers=headers, timeout=300).raise_for_status()


if __name__ == "__main__":
    main()
