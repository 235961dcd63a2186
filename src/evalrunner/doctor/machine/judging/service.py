"""The endpoint, what it can do, the key, the clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.words import size, span
from evalrunner.doctor.machine.looking.service import Service
from evalrunner.service.capabilities import only_newer_reads, size_limit, takes_multipart, takes_zstd
from evalrunner.service.preflight import Greeting

#: Seconds by which a clock may be off before it is said, and before it is warned of.
_SAID, _WARNED = 5.0, 60.0
_REACH = "without it evalrunner works with the local backend only (--local)"
_BY_WORDS = (
    (
        "certificate",
        "name the file with your organisation's certificates in REQUESTS_CA_BUNDLE; look at this machine's date, too",
    ),
    ("proxy", "look at HTTPS_PROXY (HTTP_PROXY), or name the endpoint's host in NO_PROXY"),
    ("name is not known", f"look at LANGSMITH_ENDPOINT and at this machine's network and DNS; {_REACH}"),
    ("connection refused", "nobody listens there: look at LANGSMITH_ENDPOINT, and whether the service runs"),
    ("", f"look at LANGSMITH_ENDPOINT and at this machine's way to the network; {_REACH}"),
)


def judge(seen: Service, key_from: str) -> Iterator[Check]:
    """Yield what there is to say of the service.

    Args:
        key_from: the name of what holds the key.
    """
    greeting = seen.greeting
    if greeting is None:
        assert seen.trouble is not None
        yield Check(
            "endpoint", Status.FAILURE, seen.trouble.what, seen.trouble.remedy or _mend(seen.trouble.what)
        )
        return
    took = (greeting.answered - greeting.asked).total_seconds()
    version = greeting.info.get("version") or "of no version"
    answer = f"{seen.host} answers in {took:.2f} s: LangSmith {version}"
    if seen.open_way:
        yield Check(
            "endpoint",
            Status.WARNING,
            f"{answer}; over http, so that key and traces travel for everybody to read",
            "name its https address in LANGSMITH_ENDPOINT",
        )
    else:
        yield Check("endpoint", Status.OK, answer)
    yield _abilities(greeting.info)
    yield _key(seen, key_from)
    yield _clock(greeting)


def _mend(what: str) -> str:
    return next(remedy for word, remedy in _BY_WORDS if word in what)


def _abilities(info: Mapping[str, Any]) -> Check:
    if not takes_multipart(info):
        return Check(
            "abilities",
            Status.FAILURE,
            "does not take POST /runs/multipart, which evalrunner needs",
            "have the service updated",
        )
    packed = "zstd" if takes_zstd(info) else "no zstd"
    reads = "newer" if only_newer_reads(info) else "older"
    return Check(
        "abilities",
        Status.OK,
        f"multipart, {packed}, {size(size_limit(info))} a request, the {reads} generation of reads",
    )


def _key(seen: Service, key_from: str) -> Check:
    if seen.key_trouble is not None:
        return Check(
            "key",
            Status.FAILURE,
            f"{seen.key_trouble.what} (it is from {key_from})",
            seen.key_trouble.remedy or "try again; a run asks the same at its beginning",
        )
    workspace = f", workspace {seen.workspace}" if seen.workspace else ""
    return Check("key", Status.OK, f"accepted (from {key_from}){workspace}")


def _clock(greeting: Greeting) -> Check:
    ahead = _ahead(greeting)
    if ahead is None:
        return Check("clock", Status.OK, "the service says no time to compare with")
    # The header has whole seconds, and it may have been written at any moment of the exchange.
    doubt = 0.5 + (greeting.answered - greeting.asked).total_seconds() / 2
    off = max(0.0, abs(ahead) - doubt)
    if off <= _SAID:
        return Check("clock", Status.OK, f"agrees with the service's (to within {abs(ahead) + doubt:.1f} s)")
    direction = "ahead of" if ahead > 0 else "behind"
    where = "future" if ahead > 0 else "past"
    seen = f"{span(abs(ahead))} {direction} the service's: every run is placed that much in the {where}"
    if off > _WARNED:
        seen += ", and a service that takes in runs of a certain time only may refuse it (422)"
    return Check(
        "clock",
        Status.WARNING if off > _WARNED else Status.NOTE,
        seen,
        "set this machine's clock (NTP, chrony)",
    )


def _ahead(greeting: Greeting) -> float | None:
    """Return by how many seconds our clock is ahead of the service's; None where that is not known."""
    try:
        theirs = parsedate_to_datetime(greeting.date or "")
    except (TypeError, ValueError):
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=timezone.utc)
    ours: datetime = greeting.asked + (greeting.answered - greeting.asked) / 2
    return (ours - theirs).total_seconds() - 0.5
