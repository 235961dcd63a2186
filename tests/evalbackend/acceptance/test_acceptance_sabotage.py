"""The suite fails for a server that accepts and forgets: each check here is one of the suite's, and must raise."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from langsmith import utils as ls_utils

from tests.evalbackend.acceptance import test_acceptance_async as asynchronous
from tests.evalbackend.acceptance import test_acceptance_datasets as datasets
from tests.evalbackend.acceptance import test_acceptance_evaluation as evaluation
from tests.evalbackend.acceptance import test_acceptance_examples as examples
from tests.evalbackend.acceptance import test_acceptance_feedback as feedback
from tests.evalbackend.acceptance import test_acceptance_langchain as langchain
from tests.evalbackend.acceptance import test_acceptance_queues as queues
from tests.evalbackend.acceptance import test_acceptance_resources as resources
from tests.evalbackend.acceptance import test_acceptance_sharing as sharing
from tests.evalbackend.acceptance import test_acceptance_tracing as tracing
from tests.evalbackend.acceptance.world import QUIET, Axes, World, serving
from tests.support.backend import Backend

pytestmark = QUIET
FORGET = {"action": "forget", "match": "* /runs*"}
ONE = {**FORGET, "first_n": 1}  # of all traces


def said(match: str, status: int = 200) -> dict[str, Any]:
    """Answer as if it were done, and do nothing."""
    return {"action": "status", "status": status, "match": match}


SABOTAGE: list[tuple[Callable[..., None], dict[str, Any], tuple[Any, ...]]] = [
    (tracing.test_traceable, ONE, ()),
    (tracing.test_run_trees, FORGET, ()),
    (tracing.test_attachments_usage_and_the_context_manager, ONE, ("PATH",)),
    (tracing.test_single_runs, FORGET, ()),
    (tracing.test_single_runs, said("PATCH /runs/*", 202), ()),
    (tracing.test_whole_batches, ONE, ()),
    (tracing.test_threads, ONE, ()),
    (tracing.test_a_closed_client_has_sent_everything, ONE, ()),
    (langchain.test_the_tracer_of_langchain, FORGET, ()),
    (resources.test_the_resources_of_the_client, FORGET, ()),
    (evaluation.test_an_evaluation, ONE, ()),
    (evaluation.test_an_evaluation, ONE, ()),
    (evaluation.test_an_evaluation, {**said("POST /feedback"), "first_n": 1}, ()),
    (evaluation.test_an_experiment_is_evaluated_later, ONE, ()),
    (evaluation.test_two_experiments_are_compared, said("POST /feedback"), ()),
    (evaluation.test_one_run_is_evaluated, ONE, ("evaluate_run",)),
    (feedback.test_feedback_on_runs, said("POST /feedback"), ()),
    (feedback.test_feedback_on_runs, said("PATCH /feedback/*"), ()),
    (feedback.test_feedback_on_runs, said("DELETE /feedback/*"), ()),
    (feedback.test_feedback_on_projects, said("POST /feedback"), ()),
    (feedback.test_feedback_by_token, said("POST /feedback/tokens/*"), ()),
    (feedback.test_feedback_is_configured, said("DELETE /feedback-configs"), ()),
    (datasets.test_datasets, said("DELETE /datasets/*"), ()),
    (datasets.test_versions_tags_and_splits, said("PUT /datasets/*/tags"), ()),
    (datasets.test_versions_tags_and_splits, said("PUT /datasets/*/splits"), ()),
    (datasets.test_a_shared_dataset, said("DELETE /datasets/*/share"), ()),
    (examples.test_one_example, said("PATCH /platform/datasets/*/examples"), ()),
    (examples.test_one_example, said("DELETE /examples/*"), ()),
    (examples.test_many_examples, said("POST /platform/datasets/examples/delete"), ()),
    (sharing.test_a_run_is_shared, said("DELETE /runs/*/share"), ()),
    (queues.test_queues, said("PATCH /annotation-queues/*"), ()),
    (queues.test_runs_of_a_queue, said("POST /annotation-queues/*/runs"), ()),
    (asynchronous.test_runs_and_projects, said("POST /runs", 202), ()),
    (asynchronous.test_runs_and_projects, said("PATCH /runs/*", 202), ()),
    (asynchronous.test_annotation_queues, said("DELETE /annotation-queues/*/runs/*"), ()),
]


AXES = (Axes(True, "older", ""), Axes(False, "v2", "/v1"))  # in turn


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Axes, Backend]]:
    with contextlib.ExitStack() as stack:
        folders = {axes: tmp_path_factory.mktemp("forgetful") for axes in AXES}
        yield {axes: stack.enter_context(serving(folders[axes] / "backend.db", axes)) for axes in AXES}


@pytest.mark.parametrize(
    ("check", "fault", "arguments", "axes"),
    [(*one, AXES[n % 2]) for n, one in enumerate(SABOTAGE)],
    ids=[f"{check.__name__}-{fault['action']} {fault['match']}" for check, fault, _ in SABOTAGE],
)
def test_a_server_that_forgets_is_found_out(
    forgetful: dict[Axes, Backend],
    check: Callable[..., None],
    fault: dict[str, Any],
    arguments: tuple[Any, ...],
    axes: Axes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "langsmith")
    backend = forgetful[axes]
    with backend.client(api_url=backend.url + axes.prefix) as client:
        world = World(backend, axes, client, patience=0.2)
        backend.faults(fault)
        try:
            with pytest.raises((AssertionError, pytest.fail.Exception, ls_utils.LangSmithNotFoundError)):
                check(world, *(tmp_path if one == "PATH" else one for one in arguments))
            (rule,) = backend.report()["rules"]
            assert rule["fired"] > 0
        finally:
            backend.faults()
