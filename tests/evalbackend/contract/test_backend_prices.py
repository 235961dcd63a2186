"""What runs cost: told by themselves, or worked out from a table of prices that a user can replace."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client

from evalbackend.errors import ConfigError
from evalbackend.prices import prices_for
from tests.support.backend import Backend, body, patch, post, run_id, running

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")
TABLE = """
[[model]]
match = ["Mine", "mine-*"]
prompt = 1
completion = 10.5
prompt-details = { cache_read = 0.5 }
"""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("prices") / "store.sqlite") as served:
        yield served


def used(prompt: int, completion: int, **more: Any) -> dict[str, Any]:
    total = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    return {"usage_metadata": {**total, **more}}


def called(model: str) -> dict[str, Any]:
    return {"metadata": {"ls_model_name": model, "ls_provider": "openai"}}


def costs(backend: Backend, run: str) -> tuple[str | None, ...]:
    read = backend.call("GET", f"/runs/{run}").json()
    return tuple(read[f"{part}_cost"] for part in ("prompt", "completion", "total"))


def sent(backend: Backend, *parts: bytes) -> None:
    assert backend.multipart(body(*parts)).status_code == 202


@pytest.mark.parametrize(
    ("extra", "outputs", "wanted"),
    [
        (called("gpt-4o-mini"), used(1000, 100), ("0.00015", "0.00006", "0.00021")),
        (called("openai/GPT-4o-mini-2024-07-18"), used(1000, 100), ("0.00015", "0.00006", "0.00021")),
        ({"invocation_params": {"model": "gpt-4o-mini"}}, used(1000, 0), ("0.00015", "0", "0.00015")),
        (
            called("us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
            used(1, 1),
            ("0.000003", "0.000015", "0.000018"),
        ),
        (
            called("gpt-4o-mini"),
            used(1000, 0, input_token_details={"cache_read": 1000}),
            ("0.000075", "0", "0.000075"),
        ),
        (called("nobody-knows-it"), used(1000, 100), (None, None, None)),
        (called("gpt-4o-mini"), {}, (None, None, None)),
        ({"metadata": "odd"}, used(1, 1), (None, None, None)),
        (called("gpt-4o-mini"), used(1000, 100, total_cost=7), (None, None, "7")),
        (called("gpt-4o-mini"), used(1000, 100, input_cost=0.5, output_cost=0.25), ("0.5", "0.25", "0.75")),
    ],
)
def test_a_run_costs_what_it_tells_or_what_its_model_costs(
    backend: Backend, extra: dict[str, Any], outputs: dict[str, Any], wanted: tuple[str | None, ...]
) -> None:
    run = run_id()
    sent(backend, post(run, "one", run_type="llm", extra=extra, outputs=outputs))
    assert costs(backend, run) == wanted


def test_the_parts_of_a_run_may_come_in_any_order(backend: Backend) -> None:
    runs = [run_id() for _ in range(4)]
    model, usage = called("gpt-4o-mini"), used(1000, 100)
    sent(backend, post(runs[0], "order", run_type="llm", extra=model))
    sent(backend, patch(runs[0], outputs=usage))
    sent(backend, patch(runs[1], outputs=usage))
    sent(backend, post(runs[1], "order", run_type="llm", extra=model))
    # what is told wins over what was worked out, whichever came first
    sent(backend, post(runs[2], "order", run_type="llm", extra=model, outputs=usage))
    sent(backend, patch(runs[2], outputs=used(1000, 100, total_cost=7)))
    sent(backend, patch(runs[3], outputs=usage, extra=model))
    sent(backend, post(runs[3], "order", run_type="llm", outputs=used(1000, 100, total_cost=7)))
    assert [costs(backend, run)[2] for run in runs] == ["0.00021", "0.00021", "7", "7"]


def test_costs_are_summed_up_over_the_trace_and_the_project(backend: Backend) -> None:
    root, child, session = run_id(), run_id(), f"sum-{uuid.uuid4().hex[:6]}"
    order = f"20260102T030405000006Z{root}"
    below = {
        "parent_run_id": root,
        "trace_id": root,
        "dotted_order": f"{order}.20260102T030405000007Z{child}",
    }
    sent(
        backend,
        post(root, session, outputs=used(1000, 100)),
        post(child, session, run_type="llm", extra=called("gpt-4o-mini"), outputs=used(1000, 100), **below),
    )
    assert costs(backend, root) == costs(backend, child) == ("0.00015", "0.00006", "0.00021")
    for count, wanted in ((2, "0.00063"), (60_000, "0.02")):  # 0.00021 + 0.00042; no zeros behind
        more = run_id()
        priced = used(1000 * 2, 200) if count == 2 else used(0, 0, total_cost="0.01937")
        place = {**below, "dotted_order": f"{order}.20260102T030405000008Z{more}"}
        sent(
            backend, post(more, session, run_type="llm", extra=called("gpt-4o-mini"), outputs=priced, **place)
        )
        assert costs(backend, root)[2] == wanted
    with backend.client() as client:
        project = client.read_project(project_name=session, include_stats=True)
        assert (project.total_cost, project.total_tokens) == (Decimal("0.02"), 3300)
        (found,) = client.list_runs(project_name=session, is_root=True, filter="eq(total_cost, 0.02)")
        assert found.total_cost == Decimal("0.02")


@pytest.mark.parametrize("beside", [True, False])
def test_a_user_has_a_table_of_his_own(tmp_path: Path, beside: bool) -> None:
    table = tmp_path / "prices.toml" if beside else tmp_path / "named.toml"
    table.write_text(TABLE)
    with running(tmp_path / "store.sqlite", prices=None if beside else table) as backend:
        runs = {name: run_id() for name in ("mine", "mine-2", "other", "gpt-4o-mini")}
        for name, run in runs.items():
            told = used(100, 10, input_token_details={"cache_read": 40})
            sent(backend, post(run, "own", run_type="llm", extra=called(name), outputs=told))
        found = {name: costs(backend, run)[2] for name, run in runs.items()}
    assert found == {"mine": "0.000185", "mine-2": "0.000185", "other": None, "gpt-4o-mini": None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[model", "not valid TOML"),
        ("[model]\nmatch = 'a'", "[[model]] entries"),
        ("x = 1", "[[model]] entries"),
        ("[[model]]\nmatch = 1\nprompt = 1\ncompletion = 1", "entry 1: match"),
        ("[[model]]\nmatch = 'a'\nprompt = -1\ncompletion = 1", "entry 1: prompt"),
        ("[[model]]\nmatch = 'a'\nprompt = 1", "entry 1: completion"),
        ("[[model]]\nmatch = 'a'\nprompt = inf\ncompletion = 1", "entry 1: prompt"),
        ("[[model]]\nmatch = 'a'\nprompt = true\ncompletion = 1", "entry 1: prompt"),
        ("[[model]]\nmatch = 'a'\nprice = 1", "entry 1 has other fields"),
        (
            "[[model]]\nmatch = 'a'\nprompt = 1\ncompletion = 1\nprompt-details = {x = 'y'}",
            "prompt-details.x",
        ),
    ],
)
def test_a_bad_table_is_refused_in_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    table = tmp_path / "table.toml"
    table.write_text(text)
    with pytest.raises(ConfigError) as refused:
        prices_for(tmp_path / "store.sqlite", table)
    assert told in str(refused.value)
    assert str(table) in str(refused.value)
    with pytest.raises(ConfigError, match=r"cannot be read"):
        prices_for(tmp_path / "store.sqlite", tmp_path / "none.toml")


def test_every_entry_of_our_table_can_be_reached(tmp_path: Path) -> None:
    prices = prices_for(tmp_path / "store.sqlite")
    for entry in prices.entries:
        first = entry.match[0].replace("*", "")
        assert prices.of(first) is entry, entry.match


def test_the_sdk_reads_costs(backend: Backend) -> None:
    with backend.client() as client:
        run = uuid.uuid4()
        made: Client = client
        made.create_run(
            "call", {"q": 1}, "llm", id=run, extra=called("gpt-4o-mini"), outputs=used(1000, 100),
            project_name="sdk-costs",
        )  # fmt: skip
        made.flush()
        read = made.read_run(run)
        assert (read.prompt_cost, read.completion_cost) == (Decimal("0.00015"), Decimal("0.00006"))
        assert (read.total_cost, read.total_tokens) == (Decimal("0.00021"), 1100)
