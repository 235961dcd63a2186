"""The resources that the synchronous client lends for asynchronous use."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from langsmith import RunTree

from tests.evalbackend.acceptance.world import QUIET, World, name

pytestmark = QUIET


def test_the_resources_of_the_client(world: World) -> None:
    client, project = world.client, name("resources")
    dataset = world.filled(1)
    (example,) = client.list_examples(dataset_id=dataset.id)
    experiment = client.create_project(project, reference_dataset_id=dataset.id)
    run = RunTree(
        name="r", inputs={"q": 1}, ls_client=client, project_name=project, reference_example_id=example.id,
        extra={"metadata": {"thread_id": "T"}},
    )  # fmt: skip
    run.post()
    run.end(outputs={"a": 2}, end_time=run.start_time + timedelta(seconds=1))
    run.patch()
    (seen,) = world.landed(project, 1)
    queue = client.create_annotation_queue(name=name("queue"))
    token = client.share_run(run.id).split("/")[-2]

    async def use() -> dict[str, Any]:
        async with client._get_langsmith_api():  # the client itself does not close this half
            rows = client.datasets.experiment_runs.query(str(dataset.id), experiment_ids=[str(experiment.id)])
            read = await client.runs.retrieve_v2(str(run.id), project_id=seen.session_id, selects=["OUTPUTS"])
            return {
                "outputs": read.outputs,
                "runs": [one.id async for one in client.runs.query_v2(project_ids=[seen.session_id])],
                "traces": [one.root_run async for one in client.traces.query(project_id=seen.session_id)],
                "threads": [one.thread_id async for one in client.threads.query(project_id=seen.session_id)],
                "public": [
                    one.id for one in (await client.public.runs.query(token, selects=["ID"])).items or []
                ],
                "queue": (await client.annotation_queues.retrieve_size(str(queue.id))).size,
                "rows": len([row async for row in rows]),
            }

    found, one = asyncio.run(use()), [str(run.id)]
    found["traces"] = [root.id for root in found["traces"]]
    assert found == {
        "outputs": {"a": 2}, "runs": one, "traces": one, "threads": ["T"], "public": one, "queue": 0, "rows": 1,
    }  # fmt: skip
