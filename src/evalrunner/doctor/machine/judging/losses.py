"""Variables of the LangSmith SDK that cost an evaluation its traces, or a part of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.environ import (
    EVALUATIONS,
    OURS,
    SPACES,
    Rule,
    Surroundings,
    note,
    number_of,
    read,
    truish,
    warning,
    whole,
)
from evalrunner.doctor.machine.judging.words import size

#: What the SDK's own buffers hold where nobody says otherwise (client.py:1404, _compressed_traces.py:23).
_QUEUE, _BUFFER = 10_000, 1 << 30

_LOSE_ALL = f"{EVALUATIONS} lose every run"
_ELSEWHERE = (
    f"{EVALUATIONS} send every run to the addresses that it holds, and none to the experiment unless its own is "
    "among them"
)


def _sampling(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "TRACING_SAMPLING_RATE")
    if found is None:
        return
    rate = number_of(found.value)
    if rate is None or rate < 0 or rate > 1:
        yield warning(
            found, f"is no number from 0 to 1: every client of the SDK is refused; {OURS}", "unset it"
        )
    elif rate < 1:
        yield warning(
            found,
            f"{EVALUATIONS} send {rate:.0%} of the traces, by lot, and say nothing of the rest; {OURS}",
            "unset it where you evaluate",
        )


def _otel(environ: Mapping[str, str], around: Surroundings) -> Iterator[Check]:
    mode = read(environ, "TRACING_MODE")
    only = read(environ, "OTEL_ONLY")
    both = read(environ, "OTEL_ENABLED")
    if mode is not None:
        found, which = mode, mode.value.lower()
    elif only is not None and truish(only):
        found, which = only, "otel"
    elif both is not None and truish(both):
        found, which = both, "hybrid"
    else:
        return
    if which not in ("otel", "hybrid", "langsmith"):
        yield warning(
            found,
            f"is none of langsmith, otel, hybrid: every client of the SDK is refused; {OURS}",
            "unset it",
        )
    elif which == "otel" and around.otel:
        yield warning(
            found,
            f"{EVALUATIONS} send spans (OTLP) and no runs: where the endpoint takes no spans, every run is lost, "
            f"and its scores arrive without it; {OURS}",
            "unset it where you evaluate, or take the mode hybrid",
        )
    elif which == "otel":
        yield note(
            found,
            "without the packages of langsmith[otel] the SDK falls back to ordinary runs: nothing is lost",
            "nothing to do for evaluations; with these packages installed the runs would leave as spans only",
        )
    elif which == "hybrid":
        yield note(found, "spans are sent beside the runs: nothing is lost", "nothing to do for evaluations")


def _hidden(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    for name, what in (
        ("HIDE_INPUTS", "inputs"),
        ("HIDE_OUTPUTS", "outputs"),
        ("HIDE_METADATA", "metadata (but the splits)"),
    ):
        found = read(environ, name)
        if found is None:
            continue
        if found.value == "true":
            yield warning(
                found,
                f"every run is sent without its {what}, by evalrunner run as well (what is private stays private); "
                "scores and links stay",
                "unset it if that is not meant",
            )
        elif truish(found):
            yield note(
                found,
                "hides nothing: the SDK takes the word true alone",
                f"say {found.name}=true if that is meant",
            )


def _daemon(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "USE_DAEMON")
    if found is not None and found.value == "true":
        yield warning(
            found,
            f"a process that ends does not wait for what the SDK has not sent: after {EVALUATIONS} the last traces "
            f"are lost; {OURS}",
            "unset it (client.flush() before the end saves the runs, and not every score)",
        )


def _queue(environ: Mapping[str, str], around: Surroundings) -> Iterator[Check]:
    found = read(environ, "TRACING_QUEUE_MAX_SIZE")
    if found is None:
        return
    number = whole(found.value)
    if number is None:
        yield warning(found, f"is no whole number: a client of the SDK cannot be made; {OURS}", "unset it")
        return
    plain = truish(read(environ, "DISABLE_RUN_COMPRESSION")) or around.zstd is False
    if not 0 < number < _QUEUE:
        return
    text = f"the SDK's queue holds {number:,} operations instead of {_QUEUE:,}"
    if plain:
        yield warning(
            found,
            f"{text}; what does not fit is dropped, which the log says once a minute; {OURS}",
            "unset it",
        )
    else:
        yield note(
            found,
            f"{text}; it is used where runs are not compressed, and while a client starts",
            "unset it, if LANGSMITH_DISABLE_RUN_COMPRESSION is set anywhere",
        )


def _buffer(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    found = read(environ, "MAX_INGEST_MEMORY_BYTES")
    if found is None:
        return
    number = whole(found.value)
    if number is None:
        yield warning(
            found,
            f"is no whole number: the SDK's sending thread dies, and every trace is lost; {OURS}",
            "unset it",
        )
    elif number < _BUFFER:
        yield warning(
            found,
            f"the SDK holds {size(max(0, number))} of unsent runs instead of {size(_BUFFER)}; what does not fit is "
            f"dropped, which the log says once a minute; {OURS}",
            "unset it",
        )


def _imports(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    for name in ("RUN_COMPRESSION_LEVEL", "RUN_COMPRESSION_THREADS"):
        found = read(environ, name)
        if found is not None and whole(found.value) is None:
            yield Check(
                found.name,
                Status.FAILURE,
                f"={found.value}: is no whole number, and the SDK cannot even be imported",
                "unset it",
            )


def _replicas(environ: Mapping[str, str], _: Surroundings) -> Iterator[Check]:
    """Say where runs go instead; what the variable holds is not shown, as keys are among it."""
    found = read(environ, "RUNS_ENDPOINTS")
    if found is None:
        return
    beside = any(environ.get(f"{space}_ENDPOINT") for space in SPACES)
    places = _places(found.value)
    if beside and found.name.startswith("LANGSMITH_"):
        status = Status.FAILURE
        text = "is set beside an ..._ENDPOINT: every client of the SDK is refused, ours too"
    elif not places:
        status = Status.NOTE
        text = "holds no addresses as the SDK takes them, and is ignored: nothing is lost"
    elif beside and isinstance(places, dict):
        status = Status.WARNING
        text = (
            f"is set beside an ..._ENDPOINT, which the SDK finds out when it would send: {_LOSE_ALL}; {OURS}"
        )
    else:
        status = Status.WARNING
        text = f"{_ELSEWHERE}; evalrunner run sends all to the experiment"
    yield Check(found.name, status, text, "unset it where you evaluate")


def _places(text: str) -> Any:
    try:
        places = json.loads(text)
    except ValueError:
        return None
    return places if isinstance(places, (list, dict)) else None


RULES: tuple[Rule, ...] = (_imports, _replicas, _sampling, _otel, _hidden, _daemon, _queue, _buffer)
