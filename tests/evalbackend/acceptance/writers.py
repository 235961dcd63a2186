"""Sixteen processes, each with a client of its own, which write traces as fast as they can.

    python writers.py URL TOKEN PROJECT WRITERS TRACES

Ids follow from the project, the writer and the number, so that a reader knows which to expect. Half of
the writers compress.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import uuid
from typing import Any

from langsmith import Client, RunTree


def trace_id(project: str, writer: int, number: int) -> uuid.UUID:
    """The root run's id; its child's has the number plus 0.5."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{project}/{writer}/{number}")


def child_id(project: str, writer: int, number: int) -> uuid.UUID:
    """The id of its only child."""
    return uuid.uuid5(trace_id(project, writer, number), "child")


def write(url: str, token: str, project: str, writer: int, traces: int) -> None:
    """Post and patch `traces` roots, each with a child."""
    os.environ["LANGSMITH_DISABLE_RUN_COMPRESSION"] = "true" if writer % 2 else "false"
    client = Client(api_url=url, api_key=token)
    for number in range(traces):
        told: dict[str, Any] = {
            "ls_client": client,
            "project_name": project,
            "inputs": {"writer": writer, "number": number},
        }
        root = RunTree(name="root", id=trace_id(project, writer, number), **told)
        root.post()
        child = root.create_child("child", run_id=child_id(project, writer, number))
        for run in (child, root):
            if run is child:
                run.post()
            run.end(outputs={"by": writer})
            run.patch()
    client.flush()
    client.close()


if __name__ == "__main__":
    url, token, project, writers, traces = sys.argv[1:]
    # Nothing but the import has happened here: no client, no thread, and so fork is safe and starts at once.
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=write, args=(url, token, project, n, int(traces))) for n in range(int(writers))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in processes))
