"""A process that evaluates with the plain SDK, well or wrongly, as a job says.

python cause_worker.py JOB.json
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from langsmith import Client, aevaluate, evaluate, traceable, tracing_context

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.chaos.cause_code import DESK, Job, judges, note, overall, step, sync_target, target


def arguments(client: Client) -> dict[str, Any]:
    """Return what both kinds of `evaluate` are given."""
    where = (
        {"experiment": DESK.job.experiment} if DESK.job.experiment else {"experiment_prefix": DESK.job.prefix}
    )
    more: dict[str, Any] = {"summary_evaluators": [overall]} if DESK.job.summary else {}
    given = {"evaluators": judges() or None, "client": client, "max_concurrency": DESK.job.concurrency}
    return {"data": data(client), **where, **given, **more, **DESK.job.options}


def data(client: Client) -> Any:
    """Return the examples."""
    if DESK.job.data == "name":
        return DESK.job.dataset
    wanted = [DESK.job.ids[str(number)] for number in DESK.job.numbers]
    found = {str(one.id): one for one in client.list_examples(example_ids=wanted)}
    return [found[one] for one in wanted]


async def rows(client: Client) -> AsyncIterator[Any]:
    """Evaluate in a loop of its own."""
    results = await aevaluate(target, blocking=False, **arguments(client))
    note("experiment", results.experiment_name)
    async for row in results:
        yield row


async def consumed(client: Client) -> None:
    """Evaluate as the documentation says."""
    async for _ in rows(client):
        pass


def consume(client: Client) -> None:
    """Evaluate to the end."""
    if DESK.job.sync:
        results = evaluate(sync_target, **arguments(client))
        note("experiment", results.experiment_name)
    else:
        asyncio.run(consumed(client))


def well(client: Client) -> None:
    """Do it as it is meant: to the end, and flushed."""
    consume(client)
    client.flush()


def unread(client: Client) -> None:
    """Read some rows, or none, and go away."""

    async def few() -> None:
        results = await aevaluate(target, blocking=False, **arguments(client))
        for _ in range(DESK.job.read):
            await results.__anext__()

    asyncio.run(few())
    client.flush()


def gone(client: Client) -> None:
    """End without a flush, as a pool that is terminated does."""
    consume(client)
    sys.stdout.flush()
    os._exit(0)


def loop(client: Client) -> None:
    """Trace each example in a loop of one's own, linked to it, as some do who have their own runner."""
    called = traceable(name="target")(sync_target)
    where = {"project_name": DESK.job.experiment} if DESK.job.experiment else {}
    for number in DESK.job.numbers * DESK.job.options.get("num_repetitions", 1):
        extra: Any = {"reference_example_id": DESK.job.ids[str(number)], "client": client, **where}
        called({"i": number}, langsmith_extra=extra)
    client.flush()


def _share(numbers: list[int]) -> None:
    DESK.job = replace(DESK.job, numbers=numbers)
    consume(DESK.client)


def forked(client: Client) -> None:
    """Use a client, then fork processes that inherit it: a copy has no thread that sends."""
    DESK.client = client
    with tracing_context(enabled=True, client=client, project_name="warm"):
        step(0)
    client.flush()
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_share, args=(part,)) for part in _parts()]
    for child in children:
        child.start()
    end = time.monotonic() + 8.0
    for child in children:
        child.join(max(0.1, end - time.monotonic()))
        if child.is_alive():  # it waits for threads that it does not have
            child.kill()


def forked_clean() -> None:
    """Fork processes that each make a client of their own."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_alone, args=(part,)) for part in _parts()]
    for child in children:
        child.start()
    for child in children:
        child.join()


def _alone(numbers: list[int]) -> None:
    DESK.job = replace(DESK.job, numbers=numbers)
    well(Client())


def again(client: Client) -> None:
    """Score the runs that are there."""
    evaluate(DESK.job.experiment, evaluators=judges(), client=client)
    client.flush()


def pooled(client: Client) -> None:
    """Let a pool's processes evaluate, and end the pool by leaving its block: SIGTERM."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_in_pool, (DESK.job,))


def _in_pool(job: Job) -> None:
    DESK.job = job
    consume(Client())


def _parts() -> Iterator[list[int]]:
    for at in range(DESK.job.processes):
        if part := DESK.job.numbers[at :: DESK.job.processes]:
            yield part


HOWS: dict[str, Callable[[Client], None]] = {
    "well": well, "consume": consume, "unread": unread, "gone": gone, "loop": loop, "forked": forked,
    "pooled": pooled, "again": again,
}  # fmt: skip


def main() -> None:
    """Do the job."""
    DESK.job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if DESK.job.how == "forked_clean":
        forked_clean()
    else:
        HOWS[DESK.job.how](Client())


if __name__ == "__main__":
    main()
