"""Variables of the LangSmith SDK that look as if they cost traces, and cost an evaluation none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.environ import (
    ALL_CALLS,
    SPACES,
    Rule,
    Surroundings,
    note,
    read,
    truish,
)

#: Their values are keys, or may hold one.
_SECRET = ("API_KEY", "RUNS_ENDPOINTS", "ENDPOINT")
_TWINS = (
    "API_KEY", "ENDPOINT", "WORKSPACE_ID", "PROJECT", "TRACING", "TRACING_V2", "TRACING_SAMPLING_RATE",
    "TRACING_MODE", "HIDE_INPUTS", "HIDE_OUTPUTS", "HIDE_METADATA", "USE_DAEMON", "TRACING_QUEUE_MAX_SIZE",
    "MAX_INGEST_MEMORY_BYTES",
    "DISABLE_RUN_COMPRESSION", "OTEL_ENABLED", "OTEL_ONLY", "RUNS_ENDPOINTS",
)  # fmt: skip


def _compression(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "DISABLE_RUN_COMPRESSION")
    if found is not None and truish(found):
        yield note(
            found,
            "runs go through a queue, which client.tracing_queue.join() waits for: nothing is lost by it",
            "nothing to do, unless LANGSMITH_TRACING_QUEUE_MAX_SIZE is below 10,000",
        )


def _tracing(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "TRACING_V2") or read(environ, "TRACING")
    if found is not None and found.value != "true":
        yield note(
            found,
            f"loses nothing under {ALL_CALLS}; outside of them @traceable records nothing, "
            "and pytest tests that log to LangSmith fail",
            "nothing to do for evaluations; for other traces say LANGSMITH_TRACING=true",
        )


def _project(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "PROJECT") or read(environ, "SESSION")
    if found is not None:
        yield note(
            found,
            f"is no experiment's name: {ALL_CALLS} send to their experiment and lose nothing; "
            "what is traced outside of them goes to this project",
            "nothing to do for evaluations",
        )


def _agent(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    names = ("AGENT_ID", "AGENT_ENVIRONMENT")
    there = [found for name in names if (found := read(environ, name, ("LANGSMITH",)))]
    project = read(environ, "PROJECT") or read(environ, "SESSION")
    if len(there) == 1:
        why = f"needs LANGSMITH_{names[there[0].name.endswith('_ID')]} as well"
    elif there and project is not None:
        why = f"excludes {project.name}, which is set too"
    else:
        return
    yield note(
        there[0],
        f"{why}: outside of evaluations @traceable records nothing; nothing is lost under {ALL_CALLS}",
        "set both LANGSMITH_AGENT_... and no project, or none of them",
    )


def _pytest(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "TEST_TRACKING")
    if found is not None and found.value == "false":
        yield note(
            found,
            f"tests with @pytest.mark.langsmith pass and record nothing; nothing is lost under {ALL_CALLS}",
            "unset it where tests are to be recorded",
        )


def _conflicts(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    """Yield what is said twice, and differently."""
    for name in _TWINS:
        ours, theirs = (read(environ, name, (space,)) for space in SPACES)
        if ours is not None and theirs is not None and ours.value != theirs.value:
            values = "" if name in _SECRET else f" ({ours.value}, and not {theirs.value})"
            yield Check(
                theirs.name,
                Status.NOTE,
                f"differs from {ours.name}, which the SDK takes{values}",
                "unset one of them",
            )


RULES: tuple[Rule, ...] = (_compression, _tracing, _project, _agent, _pytest, _conflicts)
