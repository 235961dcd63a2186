"""What a job's log tells: the SDK's own lines (langsmith 0.14.17), and those of whoever kills."""

from __future__ import annotations

import pytest

from evalrunner.doctor.causes import Cause
from evalrunner.doctor.inside import Inside, of_status, read_log, settings

RUN, OTHER = "01a21f7a-d61b-7a4d-b6e4-08e16a5cdbbb", "01a21f7a-ee9a-7fb6-b78c-d5cd30fd9eba"
SENT = "WARNING langsmith.client Failed to send compressed multipart ingest: langsmith.utils."
WITH_IDS = (
    f"{SENT}LangSmithRateLimitError: Rate limit exceeded for http://h/runs/multipart. HTTPError('429 Client "
    f"Error: Too Many Requests for url: http://h/runs/multipart', '{{}}')trace={RUN},id={RUN}; trace={RUN},id={OTHER}"
)
WITHOUT = (
    f"{SENT}LangSmithError: Failed to POST http://h/runs/multipart in LangSmith API. HTTPError('503 Server Error: "
    "Service Unavailable for url: http://h/runs/multipart', '{}')"
)
KEPT = (
    "WARNING langsmith.client LangSmith trace upload failed; "
    "data saved to /kept/trace_1.5_aa.json for later replay."
)


def read(*lines: str) -> tuple[Inside, dict[str, Cause]]:
    found = Inside()
    return found, read_log(lines, found)


def test_a_line_that_names_its_runs_gives_them_their_cause() -> None:
    found, kept = read(WITH_IDS)
    assert found.runs == {RUN: Cause.RATE_LIMITED, OTHER: Cause.RATE_LIMITED}
    assert (found.vague, kept) == (set(), {})


def test_one_that_does_not_is_vague_unless_its_request_was_kept() -> None:
    assert read(WITHOUT)[0].vague == {Cause.OUTAGE}
    found, kept = read(WITHOUT, KEPT)
    assert (found.vague, kept) == (set(), {"trace_1.5_aa.json": Cause.OUTAGE})


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            "WARNING langsmith.client Dropped 1 trace data item(s) in the last 60s: queue full",
            Cause.QUEUE_FULL,
        ),
        ("run.sh: line 3: 4711 Killed                  python job.py", Cause.KILLED),
        ("slurmstepd: error: *** JOB 17 ON n1 CANCELLED AT 2026 DUE TO TIME LIMIT ***", Cause.KILLED),
        ("worker 3 exited with code 137", Cause.KILLED),
    ],
)
def test_what_names_no_run_is_a_hint(line: str, cause: Cause) -> None:
    found, _ = read("all is well", line)
    assert found.vague == {cause}
    assert found.told[cause] == 1


@pytest.mark.parametrize(
    "line", ["killed by kindness", "exit code 1370", "downloaded 137 files", "signal: 19"]
)
def test_other_words_are_no_hint(line: str) -> None:
    assert read(line)[0].vague - {Cause.KILLED} == set()
    if line != "killed by kindness":
        assert not read(line)[0].vague


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        (429, "", Cause.RATE_LIMITED),
        (413, "", Cause.TOO_LARGE),
        (401, "", Cause.REFUSED),
        (422, "a name is missing", Cause.REFUSED),
        (422, "start_time is out of the window", Cause.OUTSIDE_WINDOW),
        (500, "", Cause.OUTAGE),
        (503, "", Cause.OUTAGE),
        (408, "", Cause.OUTAGE),
    ],
)
def test_a_status_is_a_cause(status: int, text: str, cause: Cause) -> None:
    assert of_status(status, text) is cause


def test_variables_that_cost_traces_are_told_with_their_values_and_others_are_not() -> None:
    told = settings(
        {
            "LANGSMITH_TRACING_SAMPLING_RATE": "0.5",
            "LANGCHAIN_HIDE_INPUTS": "true",
            "LANGSMITH_PROJECT": "p",
            "LANGSMITH_API_KEY": "secret",
        }
    )
    assert told == {
        Cause.SAMPLED: "LANGSMITH_TRACING_SAMPLING_RATE=0.5",
        Cause.INPUTS_HIDDEN: "LANGCHAIN_HIDE_INPUTS=true",
    }
    assert settings({"LANGSMITH_TRACING_SAMPLING_RATE": "1", "LANGSMITH_TRACING": "true"}) == {}
