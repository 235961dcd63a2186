"""Summary evaluators: the same scores as plain `evaluate` records, over the same runs, children included."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import diff_summaries  # type: ignore[import-not-found]
import plain  # type: ignore[import-not-found]
import pytest
from cases import Case, functions_of  # type: ignore[import-not-found]
from langsmith import evaluate
from reading import plainly  # type: ignore[import-not-found]
from stage import Stage  # type: ignore[import-not-found]

NAMES = functions_of(diff_summaries)
FIELDS = ("key", "score", "value", "comment", "correction", "extra", "feedback_source")


def recorded(stage: Stage, experiment: str) -> list[dict[str, Any]]:
    """Return what was given to an experiment as a whole."""
    project = stage.backend.client.read_project(project_name=experiment)
    answer = stage.backend.client.request_with_retries(
        "GET", "/feedback", params={"session": str(project.id), "limit": 100}
    )
    found = [{name: one.get(name) for name in FIELDS} for one in answer.json() if not one.get("run_id")]
    return list(plainly(sorted(found, key=lambda one: (one["key"], str(one["score"])))))


@pytest.mark.parametrize("target", ["diff_callables:plain", "diff_raising:after_a_child"])
def test_a_summary_is_recorded_as_plain_evaluate_does(stage: Stage, target: str) -> None:
    case = Case(target, evaluators=())
    dataset = stage.dataset(case)
    module, _, name = target.partition(":")
    with contextlib.redirect_stdout(io.StringIO()):
        results = evaluate(
            plain.load(f"{module}.py:{name}"), data=dataset, client=stage.backend.client, max_concurrency=0,
            summary_evaluators=[getattr(diff_summaries, each) for each in NAMES],
        )  # fmt: skip
    receipt, _ = stage.ours(case, dataset, summaries=[f"diff_summaries.py:{each}" for each in NAMES])
    wanted = recorded(stage, results.experiment_name)
    assert recorded(stage, receipt.experiment["name"]) == wanted
    assert {"children", "full", "twice"} <= {one["key"] for one in wanted}
