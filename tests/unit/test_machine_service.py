"""The endpoint, the proxies on the way to it, the clock and a batch system's job, judged."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from evalrunner.config import Endpoint
from evalrunner.doctor.machine.check import Check, Group, Status
from evalrunner.doctor.machine.judging import batch, processes, proxies, service
from evalrunner.doctor.machine.looking.processes import Processes
from evalrunner.doctor.machine.looking.proxies import Proxies
from evalrunner.doctor.machine.looking.service import Service, look
from evalrunner.doctor.machine.told import document, exit_code, verdict
from evalrunner.exit_codes import ExitCode
from evalrunner.service.preflight import Greeting, Unfit

OK, NOTE, WARNING, FAILURE = Status.OK, Status.NOTE, Status.WARNING, Status.FAILURE
NOW = datetime(2026, 11, 28, 12, 0, 0, 500_000, tzinfo=timezone.utc)
INFO: dict[str, Any] = {"version": "0.18", "instance_flags": {"zstd_compression_enabled": True}}


def greeting(ahead: float = 0.0, took: float = 0.0, date: str | None = None, **info: Any) -> Greeting:
    said = date if date is not None else format_datetime(NOW - timedelta(seconds=ahead), usegmt=True)
    half = timedelta(seconds=took / 2)
    return Greeting({**INFO, **info}, said, NOW - half, NOW + half)


def checks(seen: Service) -> dict[str, Check]:
    return {one.code: one for one in service.judge(seen, "LANGSMITH_API_KEY")}


def test_a_good_service() -> None:
    found = checks(Service("ls.example", greeting(took=0.2), workspace="w1"))
    assert {one.status for one in found.values()} == {OK}
    assert found["endpoint"].seen == "ls.example answers in 0.20 s: LangSmith 0.18"
    assert found["abilities"].seen == "multipart, zstd, 20 MiB a request, the older generation of reads"
    assert found["key"].seen == "accepted (from LANGSMITH_API_KEY), workspace w1"


def test_a_key_that_everybody_can_read_is_warned_of() -> None:
    found = checks(Service("ls.example", open_way=True, greeting=greeting()))
    assert (found["endpoint"].status, found["key"].status) == (WARNING, OK)
    assert "over http" in found["endpoint"].seen


@pytest.mark.parametrize(
    ("url", "open_way"),
    [("http://ls.invalid:1", True), ("https://ls.invalid:1", False), ("http://127.0.0.1:9", False)],
)
def test_which_way_is_open(monkeypatch: pytest.MonkeyPatch, url: str, open_way: bool) -> None:
    for name in ("NO_PROXY", "no_proxy"):  # what a client for loopback adds to these is undone with them
        monkeypatch.setenv(name, "")
    seen = look(Endpoint(url, key="k"))
    assert seen.open_way is open_way
    assert seen.trouble is not None


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("LangSmith at x cannot be reached: its name is not known here", "DNS"),
        ("LangSmith at x cannot be reached: connection refused", "nobody listens"),
        ("LangSmith at x does not answer within 5 s", "way to the network"),
        ("the certificate of LangSmith at x is not trusted here", "REQUESTS_CA_BUNDLE"),
        ("the proxy on the way to LangSmith at x cannot be used", "HTTPS_PROXY"),
    ],
)
def test_a_service_that_is_not_there_is_the_only_line(what: str, words: str) -> None:
    found = checks(Service("x", trouble=Unfit(what)))
    assert [(one.code, one.status) for one in found.values()] == [("endpoint", FAILURE)]
    assert words in found["endpoint"].remedy


def test_a_remedy_that_is_known_is_said() -> None:
    found = checks(Service("x", trouble=Unfit("x redirects to y", "set LANGSMITH_ENDPOINT")))
    assert found["endpoint"].remedy == "set LANGSMITH_ENDPOINT"


def test_a_refused_key_says_where_it_is_from() -> None:
    found = checks(Service("x", greeting(), key_trouble=Unfit("x refuses the key (401)", "check it")))
    assert (found["key"].status, found["endpoint"].status) == (FAILURE, OK)
    assert found["key"].seen == "x refuses the key (401) (it is from LANGSMITH_API_KEY)"


def test_a_service_without_multipart_cannot_be_used() -> None:
    old = greeting(batch_ingest_config={"use_multipart_endpoint": False})
    assert checks(Service("x", old))["abilities"].status is FAILURE


@pytest.mark.parametrize(
    ("ahead", "took", "status", "words"),
    [
        (0.0, 0.0, OK, "agrees with"),
        (3.0, 0.1, OK, "agrees with"),
        (-3.0, 0.1, OK, "agrees with"),
        (30.0, 0.1, NOTE, "30 s ahead of the service's: every run is placed that much in the future"),
        (-30.0, 0.1, NOTE, "30 s behind the service's: every run is placed that much in the past"),
        (7200.0, 0.1, WARNING, "2 hours ahead of the service's"),
        (-200_000.0, 0.1, WARNING, "2 days behind the service's"),
        # The answer took 20 s: when in these the header was written is not known.
        (9.0, 20.0, OK, "agrees with"),
        (-70.0, 30.0, NOTE, "behind"),
    ],
)
def test_the_clock(ahead: float, took: float, status: Status, words: str) -> None:
    clock = checks(Service("x", greeting(ahead, took)))["clock"]
    assert clock.status is status
    assert words in clock.seen


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_a_service_that_says_no_time(date: str) -> None:
    assert checks(Service("x", greeting(date=date)))["clock"].status is OK


@pytest.mark.parametrize(
    ("seen", "on_loopback", "status", "words"),
    [
        (Proxies((), None, spared=True), True, OK, "none is named"),
        (Proxies(("HTTPS_PROXY",), "p:3128", spared=True), False, OK, "asked through p:3128 (HTTPS_PROXY)"),
        (Proxies(("HTTPS_PROXY",), None, spared=True), False, OK, "not on the way"),
        (Proxies(("http_proxy",), None, spared=False), True, WARNING, "http_proxy would also be asked"),
        (Proxies(("http_proxy",), "p:1", spared=False), False, NOTE, "http_proxy would also be asked"),
    ],
)
def test_proxies(seen: Proxies, on_loopback: bool, status: Status, words: str) -> None:
    (check,) = proxies.judge(seen, on_loopback=on_loopback)
    assert check.status is status
    assert words in check.seen


def test_processes_that_start() -> None:
    (forking,) = processes.judge(Processes(("fork", "spawn", "forkserver"), sockets=True), "forkserver")
    assert (forking.status, "never by fork" in forking.seen) == (OK, True)
    (newer,) = processes.judge(Processes(("forkserver", "spawn", "fork"), sockets=True), "spawn")
    assert newer.seen == "workers start by spawn"
    (mute,) = processes.judge(Processes(("fork",), sockets=False), "forkserver")
    assert mute.status is NOTE
    (spawned,) = processes.judge(Processes(("fork",), sockets=False), "spawn")
    assert spawned.status is OK


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_CPUS_PER_TASK": "8",
    "SLURM_MEM_PER_NODE": "4000",
}


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, []),
        (SLURM, [(OK, "Slurm job 7, 8 CPUs per task, 4000 MB of memory per node")]),
        ({**SLURM, "SLURM_JOB_NUM_NODES": "3"}, [(NOTE, "and no other")]),
        ({**SLURM, "SLURM_STEP_NUM_TASKS": "4"}, [(WARNING, "was started 4 times (srun)")]),
        ({"PBS_JOBID": "9.x"}, [(OK, "PBS job 9.x")]),
        ({"LSB_JOBID": "9"}, [(OK, "LSF job 9")]),
        ({"JOB_ID": "9"}, []),
        ({"JOB_ID": "9", "SGE_ROOT": "/sge"}, [(OK, "Grid Engine job 9")]),
    ],
)
def test_a_job_is_one_line(environ: dict[str, str], found: list[tuple[Status, str]]) -> None:
    told = list(batch.judge(environ))
    assert [one.status for one in told] == [status for status, _ in found]
    assert all(words in one.seen for one, (_, words) in zip(told, found, strict=True))


def group(*statuses: Status) -> list[Group]:
    remedies = {status: "" if status is OK else "mend it" for status in Status}
    return [Group("G", tuple(Check(f"c{n}", one, "seen", remedies[one]) for n, one in enumerate(statuses)))]


@pytest.mark.parametrize(
    ("statuses", "code", "words"),
    [
        ([OK, OK], ExitCode.COMPLETE, "FIT for a run: 2 checks, all of them ok"),
        ([OK, NOTE, WARNING, WARNING], ExitCode.COMPLETE, "FIT for a run: 4 checks, 2 warnings, 1 note"),
        ([OK, FAILURE], ExitCode.USAGE, "NOT FIT for a run (c1): 2 checks, 1 failure"),
    ],
)
def test_the_verdict(statuses: list[Status], code: ExitCode, words: str) -> None:
    assert verdict(group(*statuses)) == words
    assert exit_code(group(*statuses)) is code
    assert document(group(*statuses))["exit_code"] == int(code)


def test_the_document_has_every_check() -> None:
    assert document(group(OK, NOTE))["checks"] == [
        {"group": "G", "code": "c0", "status": "ok", "seen": "seen", "remedy": None},
        {"group": "G", "code": "c1", "status": "note", "seen": "seen", "remedy": "mend it"},
    ]
