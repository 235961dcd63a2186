"""Environment variables of the SDK, judged; that it is as they say stands in tests/e2e/test_variables.py."""

from __future__ import annotations

import pytest

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.environ import Surroundings
from evalrunner.doctor.machine.judging.variables import judge

OK, NOTE, WARNING, FAILURE = Status.OK, Status.NOTE, Status.WARNING, Status.FAILURE


def checks(zstd: bool | None = True, otel: bool = False, /, **environ: str) -> dict[str, Check]:
    return {one.code: one for one in judge(environ, Surroundings(zstd, otel))}


def statuses(zstd: bool | None = True, otel: bool = False, /, **environ: str) -> dict[str, Status]:
    return {code: one.status for code, one in checks(zstd, otel, **environ).items()}


def test_without_any_it_is_one_line() -> None:
    assert statuses(PATH="/bin", LANGSMITH_API_KEY="k", LANGSMITH_ENDPOINT="https://x") == {"variables": OK}


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("LANGSMITH_TRACING_SAMPLING_RATE", "0.5", WARNING),
        ("LANGCHAIN_TRACING_SAMPLING_RATE", "0", WARNING),
        ("LANGSMITH_TRACING_SAMPLING_RATE", "half", WARNING),
        ("LANGSMITH_TRACING_SAMPLING_RATE", "2", WARNING),
        ("LANGSMITH_HIDE_INPUTS", "true", WARNING),
        ("LANGCHAIN_HIDE_OUTPUTS", "true", WARNING),
        ("LANGSMITH_HIDE_METADATA", "true", WARNING),
        ("LANGSMITH_HIDE_INPUTS", "1", NOTE),
        ("LANGSMITH_USE_DAEMON", "true", WARNING),
        ("LANGSMITH_TRACING_QUEUE_MAX_SIZE", "many", WARNING),
        ("LANGSMITH_TRACING_QUEUE_MAX_SIZE", "3", NOTE),
        ("LANGSMITH_MAX_INGEST_MEMORY_BYTES", "4000", WARNING),
        ("LANGSMITH_MAX_INGEST_MEMORY_BYTES", "4 GB", WARNING),
        ("LANGSMITH_DISABLE_RUN_COMPRESSION", "true", NOTE),
        ("LANGSMITH_RUN_COMPRESSION_LEVEL", "best", FAILURE),
        ("LANGCHAIN_RUN_COMPRESSION_THREADS", "all", FAILURE),
        ("LANGSMITH_RUNS_ENDPOINTS", '{"https://x": "lsv2_secret"}', WARNING),
        ("LANGSMITH_TRACING", "false", NOTE),
        ("LANGSMITH_TRACING", "1", NOTE),
        ("LANGCHAIN_TRACING_V2", "false", NOTE),
        ("LANGSMITH_PROJECT", "p", NOTE),
        ("LANGCHAIN_SESSION", "p", NOTE),
        ("LANGSMITH_AGENT_ID", "a", NOTE),
        ("LANGSMITH_TEST_TRACKING", "false", NOTE),
        ("LANGSMITH_TRACING_MODE", "spans", WARNING),
        ("LANGSMITH_TRACING_MODE", "hybrid", NOTE),
        ("LANGSMITH_OTEL_ENABLED", "true", NOTE),
    ],
)
def test_one_variable(name: str, value: str, status: Status) -> None:
    found = checks(**{name: value})
    assert {code: one.status for code, one in found.items()} == {name: status}
    assert "lsv2" not in found[name].seen + found[name].remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LANGSMITH_TRACING_SAMPLING_RATE", "1"),
        ("LANGSMITH_TRACING_SAMPLING_RATE", " "),
        ("LANGSMITH_HIDE_INPUTS", "false"),
        ("LANGSMITH_USE_DAEMON", "1"),  # the SDK takes the word true alone
        ("LANGSMITH_TRACING_QUEUE_MAX_SIZE", "0"),  # no limit
        ("LANGSMITH_TRACING_QUEUE_MAX_SIZE", "10000"),
        ("LANGSMITH_MAX_INGEST_MEMORY_BYTES", str(1 << 30)),
        ("LANGSMITH_DISABLE_RUN_COMPRESSION", "no"),
        ("LANGSMITH_RUN_COMPRESSION_LEVEL", "3"),
        ("LANGSMITH_TRACING", "true"),
        ("LANGSMITH_TRACING_MODE", "langsmith"),
        ("LANGSMITH_OTEL_ONLY", "false"),
        ("LANGCHAIN_AGENT_ID", "a"),  # the SDK does not read it
        ("LANGSMITH_FAILED_TRACES_DIR", "/tmp/x"),
        ("LANGSMITH_EXCLUDE_INPUTS_ON_PATCH", "true"),
    ],
)
def test_what_costs_nothing_is_not_mentioned(name: str, value: str) -> None:
    assert statuses(**{name: value}) == {"variables": OK}


@pytest.mark.parametrize(
    "environ",
    [{"LANGSMITH_OTEL_ONLY": "true"}, {"LANGSMITH_TRACING_MODE": "OTEL"}, {"LANGCHAIN_TRACING_MODE": "otel"}],
)
def test_spans_only_cost_the_runs_where_the_packages_for_it_are_there(environ: dict[str, str]) -> None:
    assert list(statuses(True, True, **environ).values()) == [WARNING]
    assert list(statuses(True, False, **environ).values()) == [NOTE]


def test_a_mode_counts_more_than_the_switches() -> None:
    found = statuses(True, True, LANGSMITH_TRACING_MODE="langsmith", LANGSMITH_OTEL_ONLY="true")
    assert found == {"variables": OK}


def test_a_small_queue_costs_where_runs_go_through_it() -> None:
    small = {"LANGSMITH_TRACING_QUEUE_MAX_SIZE": "3"}
    assert statuses(True, **small)["LANGSMITH_TRACING_QUEUE_MAX_SIZE"] is NOTE
    assert statuses(None, **small)["LANGSMITH_TRACING_QUEUE_MAX_SIZE"] is NOTE
    assert statuses(False, **small)["LANGSMITH_TRACING_QUEUE_MAX_SIZE"] is WARNING
    plain = statuses(**small, LANGSMITH_DISABLE_RUN_COMPRESSION="1")
    assert plain["LANGSMITH_TRACING_QUEUE_MAX_SIZE"] is WARNING


ADDRESSES = '{"https://x": "lsv2_hush"}'


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"LANGSMITH_RUNS_ENDPOINTS": ADDRESSES, "LANGCHAIN_ENDPOINT": "https://x"}, FAILURE),
        ({"LANGSMITH_RUNS_ENDPOINTS": "none", "LANGSMITH_ENDPOINT": "https://x"}, FAILURE),
        ({"LANGCHAIN_RUNS_ENDPOINTS": ADDRESSES, "LANGCHAIN_ENDPOINT": "https://x"}, WARNING),
        ({"LANGCHAIN_RUNS_ENDPOINTS": f"[{ADDRESSES}]", "LANGCHAIN_ENDPOINT": "https://x"}, WARNING),
        ({"LANGSMITH_RUNS_ENDPOINTS": ADDRESSES}, WARNING),
        ({"LANGSMITH_RUNS_ENDPOINTS": "none"}, NOTE),
        ({"LANGSMITH_RUNS_ENDPOINTS": "{}"}, NOTE),
        ({"LANGSMITH_RUNS_ENDPOINTS": "3"}, NOTE),
    ],
)
def test_other_places_for_runs(environ: dict[str, str], status: Status) -> None:
    (found,) = checks(**environ).values()
    assert found.status is status
    assert "hush" not in found.seen + found.remedy


def test_runs_that_are_lost_are_told_from_those_that_are_elsewhere() -> None:
    beside = {"LANGCHAIN_ENDPOINT": "https://x"}
    lost = checks(LANGCHAIN_RUNS_ENDPOINTS=ADDRESSES, **beside)["LANGCHAIN_RUNS_ENDPOINTS"]
    elsewhere = checks(LANGCHAIN_RUNS_ENDPOINTS=f"[{ADDRESSES}]", **beside)["LANGCHAIN_RUNS_ENDPOINTS"]
    assert "lose every run" in lost.seen
    assert "send every run to the addresses" in elsewhere.seen


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"LANGSMITH_AGENT_ID": "a"}, "needs LANGSMITH_AGENT_ENVIRONMENT as well"),
        ({"LANGSMITH_AGENT_ENVIRONMENT": "local"}, "needs LANGSMITH_AGENT_ID as well"),
        (
            {"LANGSMITH_AGENT_ID": "a", "LANGSMITH_AGENT_ENVIRONMENT": "local", "LANGCHAIN_PROJECT": "p"},
            "excludes LANGCHAIN_PROJECT",
        ),
    ],
)
def test_an_agent_s_address_that_is_none(environ: dict[str, str], words: str) -> None:
    found = checks(**environ)
    assert words in found[next(iter(environ))].seen


def test_a_whole_address_is_not_mentioned() -> None:
    assert statuses(LANGSMITH_AGENT_ID="a", LANGSMITH_AGENT_ENVIRONMENT="local") == {"variables": OK}


def test_what_is_said_twice_and_differently_is_told_without_keys() -> None:
    found = checks(
        LANGSMITH_API_KEY="lsv2_one",
        LANGCHAIN_API_KEY="lsv2_two",
        LANGSMITH_ENDPOINT="https://u:lsv2@x",
        LANGCHAIN_ENDPOINT="https://y",
        LANGSMITH_PROJECT="a",
        LANGCHAIN_PROJECT="b",
    )
    assert [one.status for one in found.values()] == [NOTE] * 4
    assert "differs from LANGSMITH_API_KEY" in found["LANGCHAIN_API_KEY"].seen
    assert found["LANGCHAIN_PROJECT"].seen.endswith("(a, and not b)")
    assert not any("lsv2" in one.seen + one.remedy for one in found.values())


def test_what_is_said_twice_alike_is_not_told() -> None:
    assert statuses(LANGSMITH_API_KEY="k", LANGCHAIN_API_KEY="k") == {"variables": OK}


def test_the_first_of_the_twins_counts() -> None:
    found = checks(LANGSMITH_TRACING_SAMPLING_RATE="1", LANGCHAIN_TRACING_SAMPLING_RATE="0")
    assert {code: one.status for code, one in found.items()} == {"LANGCHAIN_TRACING_SAMPLING_RATE": NOTE}
