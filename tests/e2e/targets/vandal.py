"""Deletes the experiment when everything in it can be read."""

from __future__ import annotations

import os
import time
from typing import Any

from langsmith import Client


class Vandal:
    """Answers, and lets nothing of it stand."""

    def __call__(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        return {"sum": inputs["i"] + 1}

    def teardown(self) -> None:
        """Wait for the runs, and delete them."""
        client = Client(auto_batch_tracing=False)
        project = client.read_project(project_name=os.environ["VICTIM"])
        while len(list(client.list_runs(project_id=project.id, is_root=True))) < 2:
            time.sleep(0.05)
        client.delete_project(project_id=str(project.id))
