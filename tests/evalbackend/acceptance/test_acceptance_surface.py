"""No public method of the SDK's clients is overlooked: the suite uses it, or it is excused here, with a reason.

A new version of the SDK with a new method makes this fail, until somebody has decided.
"""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import Any

import pytest
from langsmith import AsyncClient, Client

from tests.evalbackend.acceptance.world import FEW, PREFIXES, READS, ROWS

HERE = Path(__file__).parent
ASYNC_MODULE = "test_acceptance_async.py"
CLIENTS = {"client", "stranger", "theirs", "other", "plain"}  # how the suite calls its clients

EXCUSED = {
    "the prompts hub is out of scope": "create_commit create_prompt delete_prompt get_prompt like_prompt "
    "list_prompt_commits list_prompts pull_prompt pull_prompt_commit push_prompt unlike_prompt update_prompt",
    "agents and skills are out of scope": "agents agent_exists delete_agent delete_skill list_agents list_skills "
    "pull_agent pull_skill push_agent push_skill skill_exists",
    "insights and issues are out of scope": "generate_insights get_insights_report list_project_issues "
    "poll_insights",
    "the platform's online evaluators and sandboxes are out of scope": "evaluators sandboxes",
    "its only call resolves the address of an agent": "sessions",
    "it asks the server nothing": "api_key headers otel_exporter retry_config session timeout_ms tracing_mode "
    "tracing_queue tracing_sample_rate workspace_id",
    "the SDK raises NotImplementedError": "create_feedback_formula delete_feedback_formula "
    "get_feedback_formula_by_id list_feedback_formulas update_feedback_formula",
}


def public(client: type) -> set[str]:
    return {name for name in vars(client) if not name.startswith("_")}


def used(*, asynchronous: bool) -> set[str]:
    """The attributes that the suite's modules take of a client."""
    found = set()
    for module in HERE.glob("test_acceptance_*.py"):
        if (module.name == ASYNC_MODULE) is asynchronous:
            tree = ast.parse(module.read_text(encoding="utf-8"))
            found |= {
                node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_client(node)
            }
    return found


def _is_client(node: ast.Attribute) -> bool:
    of = node.value
    return (isinstance(of, ast.Name) and of.id in CLIENTS) or (
        isinstance(of, ast.Attribute) and of.attr == "client"
    )


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_every_public_method_is_used_or_excused(client: type) -> None:
    taken, excused = used(asynchronous=client is AsyncClient), set(" ".join(EXCUSED.values()).split())
    assert public(client) - taken - excused == set(), "neither used by the acceptance suite nor excused"


def test_nobody_is_excused_without_need() -> None:
    excused = " ".join(EXCUSED.values()).split()
    assert len(excused) == len(set(excused))
    assert set(excused) - public(Client) - public(AsyncClient) == set(), "the SDK has no such method any more"
    assert set(excused) & (used(asynchronous=True) | used(asynchronous=False)) == set(), (
        "it is used after all"
    )


def test_the_rows_cover_the_axes() -> None:
    rows = [(row.zstd, row.reads, row.prefix) for row in ROWS]
    axes: list[set[Any]] = [{True, False}, set(READS), set(PREFIXES)]
    assert [set(column) for column in zip(*rows, strict=True)] == axes
    for one, two in itertools.combinations(range(3), 2):
        assert len({(row[one], row[two]) for row in rows}) == len(axes[one]) * len(axes[two])
    for way in "ab":
        rows = [(row.zstd, row.reads, row.prefix) for row in ROWS if row.one_of("a", "b") == way]
        assert [set(column) for column in zip(*rows, strict=True)] == axes
    few = [(row.zstd, row.reads, row.prefix) for row in FEW]
    assert [set(column) for column in zip(*few, strict=True)] == axes
