"""The arguments of `evalrunner.run`: ours, and the SDK's for the same things."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args, get_type_hints
from uuid import UUID, uuid4

import pytest
from langsmith import Client
from langsmith.schemas import Dataset, Example

from evalrunner.arguments import config_of, endpoint_of
from evalrunner.config import RunConfig, WorkerConfig
from evalrunner.errors import UsageError

ID = UUID("00000000-0000-4000-8000-000000000001")
AT = datetime(2026, 11, 20, 12, 0, tzinfo=timezone.utc)


def config(**options: Any) -> RunConfig:
    return config_of("json:loads", None, None, factory=False, worker=None, options=options)


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"data": "d"}, "dataset", "d"),
        ({"data": ID}, "dataset", str(ID)),
        ({"data": Dataset(id=ID, name="d", created_at=AT)}, "dataset", str(ID)),
        ({"dataset": None, "data": "d"}, "dataset", "d"),
        ({"num_repetitions": 3}, "repetitions", 3),
        ({"experiment_prefix": "p"}, "prefix", "p"),
        ({"split": "dev"}, "splits", ("dev",)),
        ({"splits": ["dev", "test"]}, "splits", ("dev", "test")),
        ({"as_of": AT}, "as_of", "2026-11-20T12:00:00+00:00"),
        ({"run_dir": "here"}, "run_dir", Path("here")),
        ({"walltime": 90}, "walltime", "90.000000"),
        ({"walltime": timedelta(hours=1)}, "walltime", "3600.000000"),
        ({"walltime": "1h"}, "walltime", "1h"),
        ({"experiment": ID}, "experiment", str(ID)),
        ({"max_concurrency": 0}, "worker", WorkerConfig(max_concurrency=1)),
        ({"max_concurrency": None}, "worker", WorkerConfig()),
        ({"item_timeout": 5.0, "live": True}, "worker", WorkerConfig(item_timeout=5.0, live=True)),
        ({"disable_evaluator_tracing": True}, "worker", WorkerConfig(trace_evaluators=False)),
        ({"upload_results": True, "blocking": True, "error_handling": "log"}, "workers", 4),
    ],
)
def test_the_sdks_names_mean_what_they_mean_there(options: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(config(**options), field) == value


EXAMPLE = Example(id=uuid4(), inputs={}, dataset_id=ID, created_at=AT)


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"data": [EXAMPLE]}, UsageError, "data= is a list, and evalrunner takes a dataset"),
        ({"data": iter([EXAMPLE])}, UsageError, "splits="),
        ({"data": "a", "dataset": "b"}, TypeError, "one of dataset= and data=: they mean the same"),
        ({"upload_results": False}, UsageError, "upload_results=False"),
        ({"blocking": False}, UsageError, "run\\(\\) returns when the run has ended"),
        ({"error_handling": "ignore"}, UsageError, "carries it"),
        ({"num_repetition": 1}, TypeError, "did you mean 'num_repetitions'"),
        ({"spec": 1}, TypeError, "no argument 'spec'"),
        ({"experiment": 3}, UsageError, "name or id"),
        ({"walltime": True}, UsageError, "walltime= takes seconds, a timedelta, or"),
        ({"workers": "3"}, UsageError, "workers= takes a whole number, not '3'"),
        ({"num_repetitions": 0}, UsageError, "num_repetitions= takes 1 or more, not 0"),
        ({"item_timeout": "1m"}, UsageError, "item_timeout= takes a number, not '1m'"),
        ({"metadata": "x"}, UsageError, "metadata= takes a dictionary, not 'x'"),
        ({"start_method": "fork"}, UsageError, "forkserver or spawn, not 'fork'"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    options: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        config(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("of", [RunConfig, WorkerConfig])
def test_every_number_is_looked_at(of: type[Any]) -> None:
    hints = {field: {hint, *get_args(hint)} for field, hint in get_type_hints(of).items()}
    numbers = [field for field, kinds in hints.items() if kinds & {int, float}]
    assert numbers
    for field in numbers:
        with pytest.raises(UsageError, match=f"^{field}= takes"):
            config(**{field: "many"})


def test_one_worker_is_not_many() -> None:
    wrong: Any = 2
    with pytest.raises(
        UsageError, match="worker= takes a WorkerConfig, not 2; how many there are is workers="
    ):
        config_of("json:loads", [], [], factory=False, worker=wrong, options={"dataset": "d"})


def test_names_stay_names_and_objects_travel_beside_them() -> None:
    assert config().spec.target == "json:loads"
    assert config().spec.pickled is None
    mixed = config_of("json:loads", [len], ["json:dumps"], factory=True, worker=None, options={})
    assert (mixed.spec.target, mixed.spec.factory) == (None, True)
    assert mixed.spec.pickled is not None
    assert json.__name__.encode() in mixed.spec.pickled


def test_one_evaluator_needs_no_list() -> None:
    for one in ("json:dumps", ["json:dumps"], ("json:dumps",), iter(["json:dumps"])):
        made = config_of("json:loads", one, None, factory=False, worker=None, options={})
        assert made.spec.evaluators == ("json:dumps",)
    assert config_of("json:loads", len, None, factory=False, worker=None, options={}).spec.pickled


def test_a_client_says_where_langsmith_is() -> None:
    client = Client(api_url="http://127.0.0.1:9", api_key="k", workspace_id="w", auto_batch_tracing=False)
    found = endpoint_of(client)
    assert (found.url, found.key, found.workspace) == ("http://127.0.0.1:9", "k", "w")
    with pytest.raises(UsageError, match=r"takes a langsmith\.Client"):
        endpoint_of("http://127.0.0.1:9")


def test_metadata_is_written_down_as_the_sdk_writes_it() -> None:
    """`aevaluate` takes whatever it can give a form in JSON; the experiment is made by us."""
    moment, number = datetime(2026, 1, 2, tzinfo=timezone.utc), UUID(int=3)
    given = {"when": moment, "id": number, "some": {1}, "none": float("nan"), "thing": Path("x")}
    found = config_of("m:t", (), (), factory=False, worker=None, options={"metadata": given}).metadata
    assert found == {"when": moment.isoformat(), "id": str(number), "some": [1], "none": None, "thing": "x"}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a": 2**70}, "metadata= cannot be written as JSON: a is 1180591620717411303424, and"),
        ([1], "metadata= takes"),
    ],
)
def test_metadata_that_no_service_takes_is_refused(metadata: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config_of("m:t", (), (), factory=False, worker=None, options={"metadata": metadata})
