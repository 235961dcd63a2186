"""What `doctor` says of the SDK's environment variables, done: with the SDK alone, and with `evalrunner run`."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client
from langsmith.schemas import Dataset, Run

from evalrunner.doctor.machine.check import Status
from evalrunner.doctor.machine.judging.environ import Surroundings
from evalrunner.doctor.machine.judging.variables import judge
from evalrunner.doctor.machine.looking.sdk import look
from tests.support.rig import Backend, backend_in, clean_environment, evalrunner

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = 20
DEAD = "buffer that is no number"
LOSING = {
    "sampling": {"LANGSMITH_TRACING_SAMPLING_RATE": "0.5"},
    "sampling by the older name": {"LANGCHAIN_TRACING_SAMPLING_RATE": "0"},
    "buffer": {"LANGSMITH_MAX_INGEST_MEMORY_BYTES": "4000"},
    DEAD: {"LANGSMITH_MAX_INGEST_MEMORY_BYTES": "4 GB"},
    "queue": {"LANGSMITH_TRACING_QUEUE_MAX_SIZE": "1", "LANGSMITH_DISABLE_RUN_COMPRESSION": "true"},
}
HARMLESS = {
    "nothing": {},
    "tracing": {"LANGSMITH_TRACING": "false"},
    "tracing v2": {"LANGCHAIN_TRACING_V2": "false"},
    "project": {"LANGSMITH_PROJECT": "elsewhere"},
    "no compression": {"LANGSMITH_DISABLE_RUN_COMPRESSION": "true"},
    "half an address": {"LANGSMITH_AGENT_ID": "a"},
    "address and project": {
        "LANGSMITH_AGENT_ID": "a", "LANGSMITH_AGENT_ENVIRONMENT": "local", "LANGSMITH_PROJECT": "elsewhere",
    },
    "tests": {"LANGSMITH_TEST_TRACKING": "false"},
    "twins": {"LANGSMITH_TRACING_SAMPLING_RATE": "1", "LANGCHAIN_TRACING_SAMPLING_RATE": "0"},
    "hiding by another word": {"LANGSMITH_HIDE_INPUTS": "1"},
}  # fmt: skip
HIDING = {
    f"LANGSMITH_HIDE_{what}": {f"LANGSMITH_HIDE_{what}": "true"} for what in ("INPUTS", "OUTPUTS", "METADATA")
}
#: Spans go nowhere here: the local backend takes none. Without the packages for them nothing is lost.
OTEL = look().otel
(LOSING if OTEL else HARMLESS)["spans"] = {"LANGSMITH_TRACING_MODE": "otel"}
ALL = {**LOSING, **HARMLESS, **HIDING}


@dataclass(frozen=True)
class Held:
    """What an experiment holds."""

    complete: int
    children: int
    scores: int
    inputs: int
    outputs: int
    metadata: int


def listed(client: Client, **which: Any) -> list[Run]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(client.list_runs(**which))


@dataclass(frozen=True)
class Place:
    """A backend, and a dataset in it."""

    backend: Backend
    dataset: Dataset

    def experiment(self) -> str:
        return self.backend.experiment(self.dataset)

    def held(self, experiment: str) -> Held:
        client = self.backend.client
        runs = listed(client, project_name=experiment)
        roots = [
            run for run in runs if run.parent_run_id is None and run.reference_example_id and run.end_time
        ]
        scores = list(client.list_feedback(run_ids=[root.id for root in roots])) if roots else []
        return Held(
            complete=len(roots),
            children=len(runs) - len(roots),
            scores=len(scores),
            inputs=sum(bool(root.inputs) for root in roots),
            outputs=sum(bool(root.outputs) for root in roots),
            metadata=sum("ls_method" in (root.metadata or {}) for root in roots),
        )

    def roots(self, project: str) -> int:
        """Return how many traces a project has; none where there is no such project."""
        if not any(one.name == project for one in self.backend.client.list_projects()):
            return 0
        return len(listed(self.backend.client, project_name=project, is_root=True))

    def evaluate(self, *cases: dict[str, Any], **environ: str) -> subprocess.CompletedProcess[str]:
        told = json.dumps({"dataset": self.dataset.name, "cases": cases})
        return subprocess.run(
            [sys.executable, "-m", "tests.support.variables"],
            cwd=ROOT,
            env=self.backend.environment(**environ),
            input=told,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with backend_in(tmp_path_factory.mktemp("variables")) as backend:
        yield Place(backend, backend.dataset(EXAMPLES))


@pytest.fixture(scope="module")
def plain(place: Place) -> dict[str, Held]:
    """Each environment, and what the SDK's `aevaluate` brought into an experiment in it."""
    experiments = {name: place.experiment() for name in ALL}
    # Last the one whose sending thread dies: `flush` would wait for it for ever.
    order = sorted(ALL, key=lambda name: name == DEAD)
    cases: list[dict[str, Any]] = [
        {"environ": ALL[name], "experiment": experiments[name], "call": "aevaluate"} for name in order
    ]
    cases[-1]["end"] = True
    ended = place.evaluate(*cases)
    assert ended.returncode == 0, ended.stderr
    return {name: place.held(experiment) for name, experiment in experiments.items()}


def said(environ: dict[str, str]) -> list[Status]:
    return [one.status for one in judge(environ, Surroundings(zstd=True, otel=OTEL))]


@pytest.mark.parametrize("name", LOSING)
def test_what_is_warned_of_costs_traces(plain: dict[str, Held], name: str) -> None:
    assert plain[name].complete + plain[name].children < 2 * EXAMPLES
    assert Status.WARNING in said(LOSING[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_noted_costs_none(plain: dict[str, Held], name: str) -> None:
    held = plain[name]
    assert (held.complete, held.children, held.scores) == (EXAMPLES, EXAMPLES, EXAMPLES)
    assert (held.inputs, held.outputs, held.metadata) == (EXAMPLES, EXAMPLES, EXAMPLES)
    assert not {Status.WARNING, Status.FAILURE} & set(said(HARMLESS[name]))


@pytest.mark.parametrize("what", ["inputs", "outputs", "metadata"])
def test_what_is_hidden_is_all_that_is_missing(plain: dict[str, Held], what: str) -> None:
    environ = HIDING[f"LANGSMITH_HIDE_{what.upper()}"]
    held = plain[f"LANGSMITH_HIDE_{what.upper()}"]
    for field in ("complete", "children", "scores", "inputs", "outputs", "metadata"):
        assert getattr(held, field) == (0 if field == what else EXAMPLES), field
    assert said(environ) == [Status.WARNING]


def test_the_older_call_is_no_different(place: Place) -> None:
    cases = {"sampling": 0, "tracing": EXAMPLES, "project": EXAMPLES}
    experiments = {name: place.experiment() for name in cases}
    environs = {**ALL, "sampling": {"LANGSMITH_TRACING_SAMPLING_RATE": "0"}}
    ended = place.evaluate(
        *(
            {"environ": environs[name], "experiment": one, "call": "evaluate"}
            for name, one in experiments.items()
        )
    )
    assert ended.returncode == 0, ended.stderr
    assert {name: place.held(one).complete for name, one in experiments.items()} == cases


def test_traces_outside_of_evaluations_are_what_the_notes_are_about(place: Place) -> None:
    on = {"LANGSMITH_TRACING": "true"}
    address = {"LANGSMITH_AGENT_ID": "a", "LANGSMITH_AGENT_ENVIRONMENT": "local"}
    environs: list[tuple[dict[str, str], str, int]] = [
        ({**on, "LANGSMITH_PROJECT": "outside"}, "outside", 5),
        ({"LANGSMITH_TRACING": "false", "LANGSMITH_PROJECT": "outside-off"}, "outside-off", 0),
        ({"LANGSMITH_TRACING": "1", "LANGSMITH_PROJECT": "outside-one"}, "outside-one", 0),
        ({**on, **address, "LANGSMITH_PROJECT": "outside-both"}, "outside-both", 0),
    ]
    ended = place.evaluate(
        *({"environ": environ, "experiment": None, "call": "traceable"} for environ, _, _ in environs)
    )
    assert ended.returncode == 0, ended.stderr
    for _, project, count in environs:
        assert place.roots(project) == count, project


def test_a_daemon_is_not_waited_for(place: Place) -> None:
    """How much is lost is a matter of luck, and that something is almost always: it is a race with the exit."""
    lost = 0
    for _ in range(5):
        experiment = place.experiment()
        case = {"environ": {}, "experiment": experiment, "call": "aevaluate", "end": True}
        assert place.evaluate(case, LANGSMITH_USE_DAEMON="true").returncode == 0
        held = place.held(experiment)
        lost += 2 * EXAMPLES - held.complete - held.children
        if lost:
            break
    assert lost
    assert said({"LANGSMITH_USE_DAEMON": "true"}) == [Status.WARNING]


@pytest.mark.parametrize(
    "environ",
    [
        {"LANGSMITH_RUN_COMPRESSION_LEVEL": "best"},
        {"LANGSMITH_RUN_COMPRESSION_THREADS": "all"},
        {"LANGSMITH_TRACING_QUEUE_MAX_SIZE": "many"},
        {"LANGSMITH_TRACING_SAMPLING_RATE": "half"},
        {"LANGSMITH_TRACING_SAMPLING_RATE": "2"},
        {"LANGSMITH_TRACING_MODE": "spans"},
        {
            "LANGSMITH_RUNS_ENDPOINTS": '{"http://127.0.0.1:9": "k"}',
            "LANGSMITH_ENDPOINT": "http://127.0.0.1:9",
        },
    ],
)
def test_what_the_sdk_refuses_is_said_so(environ: dict[str, str]) -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import langsmith; langsmith.Client(api_key='k')"],
        env=clean_environment(**environ),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert made.returncode != 0
    imported = (
        not any("COMPRESSION" in name for name in environ) and "LANGSMITH_RUNS_ENDPOINTS" not in environ
    )
    assert said(environ) == [Status.WARNING if imported else Status.FAILURE]


# -- ours ------------------------------------------------------------------------------------------------------------

TARGET = """
from langsmith import traceable

@traceable
def child(i):
    return {"child": i}

def target(inputs):
    child(inputs["i"])
    return {"answer": inputs["i"]}

def score(run, example):
    return {"key": "ok", "score": 1}
"""


def run_ours(place: Place, folder: Path, environ: dict[str, str]) -> Held:
    (folder / "t.py").write_text(TARGET)
    experiment = place.experiment()
    ended = evalrunner(
        "run", "--experiment", experiment, "--target", "t.py:target", "--evaluator", "t.py:score", "--workers", "2",
        cwd=folder, env=environ,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return place.held(experiment)


def test_a_run_of_ours_loses_nothing_by_any_of_them(place: Place, tmp_path: Path) -> None:
    every: dict[str, str] = {
        "LANGSMITH_TRACING_MODE": "otel", "LANGSMITH_OTEL_ONLY": "true", "LANGSMITH_USE_DAEMON": "true",
        "LANGSMITH_RUN_COMPRESSION_LEVEL": "3",
    }  # fmt: skip
    for environ in (*HARMLESS.values(), *LOSING.values()):
        every.update(environ)
    every["LANGSMITH_TRACING_SAMPLING_RATE"] = "0"
    for proxy in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        every[proxy] = "http://127.0.0.1:9"
    held = run_ours(place, tmp_path, place.backend.environment(**every))
    assert held == Held(*[EXAMPLES] * 6)


def test_what_is_private_stays_private_in_a_run_of_ours(place: Place, tmp_path: Path) -> None:
    environ = {name: value for each in HIDING.values() for name, value in each.items()}
    held = run_ours(place, tmp_path, place.backend.environment(**environ))
    assert (held.complete, held.children, held.scores) == (EXAMPLES, EXAMPLES, EXAMPLES)
    assert (held.inputs, held.outputs) == (0, 0)


@pytest.fixture
def replicas(place: Place, tmp_path: Path) -> Iterator[tuple[Backend, dict[str, str]]]:
    """Another backend, and an environment in which runs are to be sent there; a profile names the first one."""
    profile = tmp_path / "profile.json"
    first = {"api_url": place.backend.url, "api_key": place.backend.token}
    profile.write_text(json.dumps({"current_profile": "first", "profiles": {"first": first}}))
    with backend_in(tmp_path) as other:
        replicas = json.dumps({other.url: other.token})
        yield other, clean_environment(LANGSMITH_CONFIG_FILE=str(profile), LANGSMITH_RUNS_ENDPOINTS=replicas)


def test_replicas_take_the_runs_of_the_sdk_and_not_ours(
    place: Place, replicas: tuple[Backend, dict[str, str]], tmp_path: Path
) -> None:
    other, environ = replicas
    experiment = place.experiment()
    told = {
        "dataset": place.dataset.name,
        "cases": [{"environ": {}, "experiment": experiment, "call": "aevaluate"}],
    }
    subprocess.run(
        [sys.executable, "-m", "tests.support.variables"],
        cwd=ROOT,
        env=environ,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert place.held(experiment).complete == 0
    assert Place(other, place.dataset).roots(experiment) == EXAMPLES
    assert said({"LANGSMITH_RUNS_ENDPOINTS": '{"http://x": "k"}'}) == [Status.WARNING]
    assert run_ours(place, tmp_path, environ) == Held(*[EXAMPLES] * 6)


def test_replicas_by_their_older_name_lose_the_runs_of_the_sdk_beside_an_endpoint_and_not_ours(
    place: Place, tmp_path: Path
) -> None:
    environ = {"LANGCHAIN_RUNS_ENDPOINTS": '{"http://127.0.0.1:9": "k"}'}
    experiment, ignored = place.experiment(), place.experiment()
    calls: list[tuple[dict[str, str], str]] = [
        ({}, experiment),
        ({"LANGCHAIN_RUNS_ENDPOINTS": "none"}, ignored),
    ]
    ended = place.evaluate(
        *({"environ": more, "experiment": name, "call": "aevaluate"} for more, name in calls), **environ
    )
    assert ended.returncode == 0, ended.stderr
    assert place.held(experiment).complete == 0
    assert place.held(ignored).complete == EXAMPLES
    beside = {**environ, "LANGSMITH_ENDPOINT": place.backend.url}
    assert said(beside) == [Status.WARNING]
    assert run_ours(place, tmp_path, place.backend.environment(**environ)) == Held(*[EXAMPLES] * 6)


# -- pytest ----------------------------------------------------------------------------------------------------------

TESTS = """
import pytest
from langsmith import testing

@pytest.mark.langsmith
@pytest.mark.parametrize("i", range(3))
def test_one(i):
    testing.log_outputs({"i": i})
"""


@pytest.mark.parametrize(
    ("environ", "passes", "recorded"),
    [
        ({"LANGSMITH_TRACING": "true"}, True, 3),
        ({"LANGSMITH_TRACING": "false"}, False, 0),
        ({"LANGSMITH_TRACING": "true", "LANGSMITH_TEST_TRACKING": "false"}, True, 0),
    ],
)
def test_tests_that_log_to_langsmith(
    place: Place, tmp_path: Path, environ: dict[str, str], passes: bool, recorded: int
) -> None:
    (tmp_path / "test_them.py").write_text(TESTS)
    before = experiments(place)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_them.py"],
        cwd=tmp_path,
        env=place.backend.environment(LANGSMITH_TEST_SUITE=tmp_path.name, **environ),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode == 0) is passes
    assert sum(place.roots(one) for one in experiments(place) - before) == recorded


def experiments(place: Place) -> set[str]:
    return {one.name for one in place.backend.client.list_projects() if one.name}
