"""`evalrunner doctor` without an experiment: good machines, and each way in which one is not."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from evalrunner.exit_codes import ExitCode
from tests.support.cli import Done, done
from tests.support.rig import Backend
from tests.support.scripted import scripted

Doctor = Callable[..., Done]
INFO = {"version": "0.18", "instance_flags": {"zstd_compression_enabled": True}}


@pytest.fixture
def doctor(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """The command against a good backend, unless the environment says otherwise."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")

    def run(*arguments: str, **environment: str) -> Done:
        good = {"LANGSMITH_ENDPOINT": backend.url, "LANGSMITH_API_KEY": backend.token}
        return done(tmp_path, "doctor", *arguments, **{**good, **environment})

    return run


def checks(ended: Done) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in json.loads(ended.stdout)["checks"]}


def test_a_good_machine(doctor: Doctor, backend: Backend, tmp_path: Path) -> None:
    ended = doctor("--json")
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["exit_code"], ended.stderr) == (0, 0, "")
    found = checks(ended)
    for code in (
        "langsmith",
        "settings",
        "endpoint",
        "abilities",
        "key",
        "clock",
        "variables",
        "runs",
        "temporary",
    ):
        assert found[code]["status"] == "ok", found[code]
        assert found[code]["remedy"] is None
    assert "store" not in found
    assert "127.0.0.1" in found["endpoint"]["seen"]
    assert told["verdict"].startswith("FIT for a run: ")
    assert backend.token not in ended.stdout
    assert list(tmp_path.iterdir()) == [], "something was left behind"


def test_without_a_service_it_looks_at_the_store_and_starts_nothing(tmp_path: Path) -> None:
    ended = done(tmp_path, "doctor", "--json", NO_PROXY="", no_proxy="")
    assert ended.returncode == 0
    found = checks(ended)
    assert found["endpoint"]["seen"] == "none is configured: a run starts the local backend"
    assert found["store"]["seen"].startswith(str(tmp_path / ".evalrunner"))
    assert list(tmp_path.iterdir()) == []


def test_local_though_a_service_is_configured(doctor: Doctor) -> None:
    found = checks(doctor("--json", "--local", "--store", "elsewhere/s.sqlite", LANGSMITH_API_KEY="wrong"))
    assert found["endpoint"]["seen"].startswith("--local, though LANGSMITH_ENDPOINT names one")
    assert "/elsewhere" in found["store"]["seen"]
    assert "key" not in found


def test_a_refused_key(doctor: Doctor) -> None:
    ended = doctor("--json", LANGSMITH_API_KEY="lsv2_wrong_key_1234")
    assert ended.returncode == ExitCode.USAGE
    found = checks(ended)
    assert (found["endpoint"]["status"], found["key"]["status"]) == ("ok", "failure")
    assert found["key"]["seen"].endswith("refuses the API key (401) (it is from LANGSMITH_API_KEY)")
    assert found["key"]["remedy"] == "check LANGSMITH_API_KEY"
    assert json.loads(ended.stdout)["verdict"].startswith("NOT FIT for a run (key): ")
    assert "1234" not in ended.stdout + ended.stderr


def test_nobody_listens(doctor: Doctor) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    ended = doctor("--json", LANGSMITH_ENDPOINT=url)
    assert ended.returncode == ExitCode.USAGE
    found = checks(ended)
    assert "cannot be reached: connection refused" in found["endpoint"]["seen"]
    assert found["runs"]["status"] == "ok", "the rest is looked at all the same"
    assert "clock" not in found


@pytest.mark.parametrize("name", ["_TIMEOUT", "PATIENCE"])
def test_an_endpoint_that_hangs(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(
        f"evalrunner.service.preflight.{name}", {"_TIMEOUT": (0.2, 0.2), "PATIENCE": 0.2}[name]
    )
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ended = doctor("--json", LANGSMITH_ENDPOINT=f"http://127.0.0.1:{mute.getsockname()[1]}")
    assert ended.returncode == ExitCode.USAGE
    assert "does not answer" in checks(ended)["endpoint"]["seen"]
    assert "temporary" in checks(ended)


def test_a_service_that_answers_for_itself_and_hangs_over_the_key(
    doctor: Doctor, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalrunner.service.preflight._TIMEOUT", (0.5, 0.5))
    backend.faults({"match": "GET /sessions*", "action": "stall", "seconds": 2.0})
    try:
        found = checks(doctor("--json"))
    finally:
        backend.faults()
    assert (found["endpoint"]["status"], found["key"]["status"]) == ("ok", "failure")
    assert "does not answer in time" in found["key"]["seen"]


@pytest.mark.parametrize(("hours", "status"), [(0, "ok"), (-3, "warning"), (3, "warning")])
def test_a_clock_that_is_wrong(doctor: Doctor, hours: int, status: str) -> None:
    theirs = datetime.now(timezone.utc) + timedelta(hours=hours)
    with scripted(format_datetime(theirs, usegmt=True), info=(200, INFO), sessions=(200, [])) as url:
        ended = doctor("--json", LANGSMITH_ENDPOINT=url)
    assert ended.returncode == 0, "a warning is no failure"
    clock = checks(ended)["clock"]
    assert clock["status"] == status
    if hours:
        assert f"3 hours {'behind' if hours > 0 else 'ahead of'} the service's" in clock["seen"]


def test_something_that_is_no_langsmith(doctor: Doctor) -> None:
    with scripted(info=(302, {})) as url:
        found = checks(doctor("--json", LANGSMITH_ENDPOINT=url))
    assert "redirects to elsewhere.example" in found["endpoint"]["seen"]
    assert found["endpoint"]["remedy"] == "set LANGSMITH_ENDPOINT to where it really is"


def test_a_variable_that_costs_traces(doctor: Doctor) -> None:
    ended = doctor("--json", LANGSMITH_TRACING_SAMPLING_RATE="0.25", LANGSMITH_PROJECT="mine")
    assert ended.returncode == 0
    found = checks(ended)
    assert found["LANGSMITH_TRACING_SAMPLING_RATE"]["status"] == "warning"
    assert "send 25% of the traces" in found["LANGSMITH_TRACING_SAMPLING_RATE"]["seen"]
    assert found["LANGSMITH_PROJECT"]["status"] == "note"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LANGSMITH_ENDPOINT", "ftp://x", "takes an http(s) address"),
        ("LANGSMITH_RUNS_ENDPOINTS", '{"https://x": "lsv2_hush"}', "You cannot provide both"),
    ],
)
def test_what_the_sdk_refuses(doctor: Doctor, name: str, value: str, words: str) -> None:
    ended = doctor("--json", **{name: value})
    assert ended.returncode == ExitCode.USAGE
    assert words in checks(ended)["endpoint"]["seen"]
    assert "hush" not in ended.stdout + ended.stderr


def test_a_broken_configuration_is_a_line_among_the_others(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "evalrunner.toml").write_text("workers = many\n")
    ended = doctor("--json")
    assert ended.returncode == ExitCode.USAGE
    found = checks(ended)
    assert found["settings"]["status"] == "failure"
    assert "evalrunner.toml, line 1" in found["settings"]["seen"]
    assert found["key"]["status"] == "ok"


def test_a_folder_that_cannot_be_written(doctor: Doctor) -> None:
    ended = doctor("--json", EVALRUNNER_RUN_DIR="/proc/self/runs")  # nobody can, not even root
    assert ended.returncode == ExitCode.USAGE
    assert checks(ended)["runs"]["status"] == "failure"
    assert "--run-dir" in checks(ended)["runs"]["remedy"]


def test_loopback_behind_a_proxy(doctor: Doctor) -> None:
    proxy = "http://user:hush@127.0.0.1:9"
    ended = doctor("--json", HTTP_PROXY=proxy, http_proxy=proxy)
    found = checks(ended)
    assert (ended.returncode, found["endpoint"]["status"]) == (0, "ok"), "ours spares it"
    assert found["proxy"]["status"] == "warning"
    assert found["proxy"]["remedy"].startswith("export NO_PROXY=")
    assert "hush" not in ended.stdout


def test_a_proxy_on_the_way_is_named_without_its_password(doctor: Doctor) -> None:
    proxy = "http://user:hush@127.0.0.1:9"
    spared = {"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1"}
    ended = doctor(
        "--json", LANGSMITH_ENDPOINT="http://ls.example", HTTP_PROXY=proxy, http_proxy=proxy, **spared
    )
    found = checks(ended)
    assert found["proxy"]["status"] == "ok"
    assert found["proxy"]["seen"] == "LangSmith is asked through 127.0.0.1:9 (HTTP_PROXY, http_proxy)"
    assert found["endpoint"]["seen"] == "the proxy on the way to LangSmith at ls.example cannot be used"
    assert "HTTP_PROXY" in found["endpoint"]["remedy"]
    assert "hush" not in ended.stdout + ended.stderr


def test_the_words_for_people(doctor: Doctor) -> None:
    ended = doctor(LANGSMITH_HIDE_INPUTS="true", NO_COLOR="1")
    lines = ended.stdout.splitlines()
    assert lines[0] == "Software"
    assert any(re.match(r"  ok       endpoint: 127\.0\.0\.1:\d+ answers in ", line) for line in lines)
    at = next(n for n, line in enumerate(lines) if line.startswith("  warning  LANGSMITH_HIDE_INPUTS=true: "))
    assert lines[at + 1] == "           -> unset it if that is not meant"
    assert lines[-1].startswith("FIT for a run: ")
    assert "\x1b" not in ended.stdout
    assert not any(line.endswith(" ") for line in lines)


def test_quiet_is_the_verdict_alone(doctor: Doctor) -> None:
    assert re.fullmatch(r"FIT for a run: \d+ checks, .*\n", doctor("--quiet").stdout)
