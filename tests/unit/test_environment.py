"""What a worker finds in its environment."""

from __future__ import annotations

import os
from typing import Any

import pytest

from evalrunner.config import Endpoint, RunConfig, TargetSpec
from evalrunner.errors import UsageError
from evalrunner.supervisor.setup.environment import THREADS, worker_environment

ENDPOINT = Endpoint("http://127.0.0.1:1984", "lsv2_canary", "w-1")


def made(slot: int = 0, workers: int = 4, endpoint: Endpoint = ENDPOINT, **config: Any) -> dict[str, str]:
    return worker_environment(RunConfig(TargetSpec(), **config), endpoint, slot, workers)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*THREADS, "CUDA_VISIBLE_DEVICES", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_a_worker_knows_who_it_is_and_where_langsmith_is() -> None:
    env = made(2)
    assert env["EVALRUNNER_WORKER_ID"] == "2"
    assert env["EVALRUNNER_WORKERS"] == "4"
    assert env["LANGSMITH_ENDPOINT"] == ENDPOINT.url
    assert env["LANGSMITH_API_KEY"] == "lsv2_canary"
    assert env["LANGSMITH_WORKSPACE_ID"] == "w-1"
    assert "LANGSMITH_WORKSPACE_ID" not in made(endpoint=Endpoint("http://x", "k"))


def test_the_cores_are_shared_by_the_workers() -> None:
    cores = len(os.sched_getaffinity(0))
    assert {made(workers=1)[name] for name in THREADS} == {str(cores)}
    assert {made(workers=10 * cores)[name] for name in THREADS} == {"1"}


def test_what_the_user_has_set_himself_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    env = made()
    assert "OMP_NUM_THREADS" not in env
    assert "MKL_NUM_THREADS" in env
    assert made(env={"MKL_NUM_THREADS": "7", "MORE": "x"})["MKL_NUM_THREADS"] == "7"


def test_gpus_are_left_alone_unless_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert "CUDA_VISIBLE_DEVICES" not in made()


def test_every_slot_has_gpus_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a, 3,5,GPU-b,9")
    seen = [made(slot, 2, gpus_per_worker=2)["CUDA_VISIBLE_DEVICES"] for slot in range(2)]
    assert seen == ["GPU-a,3", "5,GPU-b"]


@pytest.mark.parametrize(("visible", "said"), [("0,1,2", "3 are visible"), ("7", "1 is"), ("", "0 are")])
def test_too_few_gpus_are_a_mistake_of_usage(
    monkeypatch: pytest.MonkeyPatch, visible: str, said: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UsageError, match=f"each need 8, and {said}"):
        made(gpus_per_worker=2)
