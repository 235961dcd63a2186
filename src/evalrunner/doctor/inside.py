"""What can be seen where an experiment was made: logs, failed traces that the SDK kept, the environment.

The SDK logs each request that it gives up, with its status, and with the ids of its runs for some statuses only
(langsmith/client.py:2022 to 2080, 0.14.17). Where it keeps the request (`LANGSMITH_FAILED_TRACES_DIR`) its log line
names the file, and the file has all ids.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalrunner.doctor.causes import Cause

#: Not `Error creating feedback`: a score that is refused takes no run away.
_FAILED = re.compile(
    r"Failed to (?:multipart ingest runs|send compressed multipart ingest|batch ingest runs)"
)
_STATUS = re.compile(r"\b([45]\d\d) (?:Client|Server) Error|Server error \(([45]\d\d)\)")
_ID = re.compile(r"\bid=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_KEPT = re.compile(r"data saved to (\S+?\.json) for later replay")
_DROPPED = re.compile(r"Dropped \d+ trace data item")
_KILLED = re.compile(
    r"\bKilled\b|\bSIGKILL\b|oom[-_ ]kill|out of memory|exit(?:ed with)?(?: code| status)?:? (?:137|-9)\b"
    r"|signal:? 9\b|DUE TO (?:TIME LIMIT|PREEMPTION|NODE FAILURE)",
    re.IGNORECASE,
)
_WINDOW = re.compile(r"start_time|window|too old|24 hours", re.IGNORECASE)
#: Lines that belong to a failure after its own: the body of the answer, the ids.
_BELONGING = 6


@dataclass
class Inside:
    """What was found.

    Attributes:
        told: cause -> how many requests of it the logs tell of.
        vague: causes of which a request's runs are not known.
        runs, examples: id -> why it did not arrive.
        kept: files with requests that failed.
        holds: ids of runs that are in them.
        books: example -> why, and what the ledger of a run of ours says of it.
        logs: how many logs were read.
        settings: variables of the environment that cost traces -> their values.
    """

    told: Counter[Cause] = field(default_factory=Counter)
    vague: set[Cause] = field(default_factory=set)
    runs: dict[str, Cause] = field(default_factory=dict)
    examples: dict[str, Cause] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)
    books: dict[str, tuple[Cause, str]] = field(default_factory=dict)
    logs: int = 0
    settings: dict[Cause, str] = field(default_factory=dict)


def of_status(status: int, text: str = "") -> Cause:
    """Return why the SDK gave a request up, by the answer that it got."""
    if status == 429:
        return Cause.RATE_LIMITED
    if status == 413:
        return Cause.TOO_LARGE
    if status == 422 and _WINDOW.search(text):
        return Cause.OUTSIDE_WINDOW
    return Cause.OUTAGE if status >= 500 or status in (408, 425) else Cause.REFUSED


@dataclass
class _Failure:
    cause: Cause
    ids: list[str]
    kept: str | None = None


def read_log(lines: Iterable[str], found: Inside) -> dict[str, Cause]:
    """Read a log into `found`; return the files of failed requests that it names, with their causes."""
    failures: list[_Failure] = []
    since = _BELONGING + 1
    for line in lines:
        since += 1
        if _FAILED.search(line):
            failures.append(_Failure(_cause(line), _ID.findall(line)))
            since = 0
        elif failures and since <= _BELONGING:
            failures[-1].ids += _ID.findall(line)
        if failures and (kept := _KEPT.search(line)):
            failures[-1].kept = kept[1]
        if _DROPPED.search(line):
            found.told[Cause.QUEUE_FULL] += 1
            found.vague.add(Cause.QUEUE_FULL)
        elif since > _BELONGING and _KILLED.search(line):
            found.told[Cause.KILLED] += 1
            found.vague.add(Cause.KILLED)
    found.logs += 1
    return dict(_added(failures, found))


def _added(failures: Sequence[_Failure], found: Inside) -> Iterator[tuple[str, Cause]]:
    for one in failures:
        found.told[one.cause] += 1
        found.runs.update(dict.fromkeys(one.ids, one.cause))
        if one.kept is not None:
            yield Path(one.kept).name, one.cause
        elif not one.ids:
            found.vague.add(one.cause)


def _cause(line: str) -> Cause:
    status = _STATUS.search(line)
    return of_status(int(status[1] or status[2]), line) if status else Cause.OUTAGE


def settings(environ: Mapping[str, str]) -> dict[Cause, str]:
    """Return the variables of an environment that can cost traces, as `NAME=VALUE`."""
    found: dict[Cause, str] = {}
    for cause, name, costs in (
        (Cause.SAMPLED, "TRACING_SAMPLING_RATE", _is_share),
        (Cause.OTEL_ONLY, "OTEL_ONLY", _is_on),
        (Cause.INPUTS_HIDDEN, "HIDE_INPUTS", _is_on),
        (Cause.TRACING_OFF, "TRACING", _is_off),
    ):
        for prefix in ("LANGSMITH", "LANGCHAIN"):
            value = environ.get(f"{prefix}_{name}")
            if value is not None and costs(value):
                found.setdefault(cause, f"{prefix}_{name}={value}")
    return found


def _is_on(value: str) -> bool:
    return value.strip().lower() in ("true", "1")


def _is_off(value: str) -> bool:
    return value.strip().lower() not in ("true", "1")


def _is_share(value: str) -> bool:
    try:
        return 0 <= float(value) < 1
    except ValueError:
        return False
