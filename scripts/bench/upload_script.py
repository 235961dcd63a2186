"""The usual script that uploads recorded traces, as people write it: the baseline of upload.py.

    python scripts/bench/upload_script.py FILE PROJECT [--threads N]

Load the whole file, map ids, move times so that the newest start is now, build a RunTree of each run, post, flush.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from langsmith import Client
from langsmith.run_trees import RunTree


def main() -> None:
    """Upload."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("project")
    parser.add_argument("--threads", type=int, default=0)
    asked = parser.parse_args()
    runs = json.loads(asked.file.read_text(encoding="utf-8"))
    shift = datetime.now(timezone.utc) - max(_time(run["start_time"]) for run in runs)
    ids = {run["id"]: uuid4() for run in runs}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for run in runs:
        children.setdefault(run["parent_run_id"], []).append(run)

    def upload(root: dict[str, Any], client: Client) -> None:
        _post(root, None, asked.project, client, shift, ids, children)

    if asked.threads:
        with ThreadPoolExecutor(asked.threads) as pool:
            list(pool.map(lambda root: _alone(root, upload), children[None]))
    else:
        client = Client()
        for root in children[None]:
            upload(root, client)
        client.flush()
    print("Done!")


def _alone(root: dict[str, Any], upload: Any) -> None:
    client = Client()
    upload(root, client)
    client.flush()


def _post(
    run: dict[str, Any],
    parent: RunTree | None,
    project: str,
    client: Client,
    shift: timedelta,
    ids: dict[str, UUID],
    children: dict[str | None, list[dict[str, Any]]],
) -> None:
    told: dict[str, Any] = {
        "id": ids[run["id"]],
        "name": run["name"],
        "run_type": run["run_type"],
        "inputs": run["inputs"],
        "outputs": run["outputs"],
        "error": run["error"],
        "extra": run["extra"],
        "tags": run["tags"],
        "start_time": _time(run["start_time"]) + shift,
        "end_time": _time(run["end_time"]) + shift,
        "project_name": project,
        "ls_client": client,
    }
    tree = RunTree(**told, parent_run=parent)
    tree.post()
    for child in children.get(run["id"], ()):
        _post(child, tree, project, client, shift, ids, children)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


if __name__ == "__main__":
    main()
