"""The first words with a service: each way that they can go wrong is one sentence, soon."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from langsmith import Client
from langsmith.utils import get_env_var

from evalrunner.config import Endpoint
from evalrunner.connect.embedded import Embedded
from evalrunner.connect.endpoint import configured, resolve
from evalrunner.errors import ConfigError, ServiceError
from evalrunner.service.client import find_dataset, find_experiment, make_client
from evalrunner.service.errors import told
from evalrunner.service.preflight import check
from tests.support.cli import done
from tests.support.scripted import scripted


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with Embedded(tmp_path_factory.mktemp("service") / ".evalrunner" / "store.sqlite") as one:
        client = make_client(one)
        dataset = client.create_dataset("capital cities")
        client.create_dataset("Capital letters")
        client.create_project("cities-gpt-1", reference_dataset_id=dataset.id)
        client.create_project("plain tracing")
        yield one


@pytest.fixture(autouse=True)
def no_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("LANGSMITH_", "LANGCHAIN_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    # What `make_client` adds to these is undone with them.
    monkeypatch.setenv("NO_PROXY", os.environ.get("NO_PROXY", ""))
    monkeypatch.setenv("no_proxy", os.environ.get("no_proxy", ""))


def sentence(url: str, key: str = "k" * 8) -> str:
    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        check(make_client(Endpoint(url, key=key)))
    assert time.monotonic() - began < 30, "the SDK alone would ask for minutes"
    assert "\n" not in str(caught.value)
    assert key not in str(caught.value)
    return str(caught.value)


def test_a_service_that_is_there(endpoint: Endpoint) -> None:
    info = check(make_client(endpoint))
    assert info.version


def test_a_proxy_is_not_asked_for_loopback(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    client = make_client(endpoint)
    assert check(client).version
    assert find_dataset(client, "capital cities")


def test_a_refused_key(endpoint: Endpoint) -> None:
    assert "refuses the API key (401); check LANGSMITH_API_KEY" in sentence(endpoint.url, "wrong-key")


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert (
        sentence(f"http://127.0.0.1:{port}")
        == f"LangSmith at 127.0.0.1:{port} cannot be reached: connection refused"
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("_TIMEOUT", (0.2, 0.2), "cannot be reached: it does not answer in time"),
        # As when a name server hangs, which no timeout of a request covers.
        ("PATIENCE", 0.2, "does not answer within 0.2 s"),
    ],
)
def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, name: str, value: Any, words: str) -> None:
    monkeypatch.setattr(f"evalrunner.service.preflight.{name}", value)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert words in sentence(f"http://127.0.0.1:{mute.getsockname()[1]}")


def test_an_unknown_host() -> None:
    assert "langsmith.invalid" in sentence("https://langsmith.invalid")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "answers, but not as LangSmith does (404)"),
        ({"info": (200, "<html>")}, "answers, but not as LangSmith does"),
        ({"info": (200, ["x"])}, "answers, but not as LangSmith does"),
        ({"info": (302, {})}, "redirects to elsewhere.example"),
        ({"info": (503, {})}, "answers 503 now; nothing was executed"),
        ({"info": (200, {"version": "1"}), "sessions": (403, {})}, "refuses the API key (403)"),
        (
            {
                "info": (200, {"version": "1"}),
                "sessions": (403, {"error": "org_scoped_key_requires_workspace"}),
            },
            "set LANGSMITH_WORKSPACE_ID",
        ),
    ],
)
def test_strange_answers(answers: dict[str, tuple[int, Any]], words: str) -> None:
    with scripted(**answers) as url:
        assert words in sentence(url)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>Sign in", "with text/html: <html>Sign in; is there a proxy"),
        ("", "with nothing; is there a proxy"),
        ("null", "with text/html: null"),
        ({"error": "no such host"}, 'with text/html: {"error": "no such host"}'),
    ],
)
def test_an_answer_that_is_none_of_langsmiths(body: Any, words: str) -> None:
    """A proxy in between says 200 too: each was an internal error, or the parser's own words."""
    with scripted(datasets=(200, body), sessions=(200, body), examples=(200, body)) as url:
        client = make_client(Endpoint(url, key="k" * 8))
        for path, ask in (
            ("datasets", lambda: find_dataset(client, "d")),
            ("sessions", lambda: find_experiment(client, "e")),
            ("examples", lambda: list(read_rows(client))),
        ):
            with pytest.raises(ServiceError) as caught:
                ask()
            assert f"answers GET /{path} as LangSmith does not, {words}" in str(caught.value)
            assert "\n" not in str(caught.value)


def read_rows(client: Client) -> Iterator[Any]:
    with told(client):
        yield from client.list_examples(dataset_id="00000000-0000-4000-8000-000000000001")


def test_experiments_are_found_by_name_and_id(endpoint: Endpoint) -> None:
    client = make_client(endpoint)
    found = find_experiment(client, "cities-gpt-1")
    assert find_experiment(client, str(found.id)).name == "cities-gpt-1"
    dataset = find_dataset(client, "capital cities")
    assert find_dataset(client, str(dataset.id)).name == "capital cities"
    assert found.reference_dataset_id == dataset.id


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("cities-gpt-2", "no experiment 'cities-gpt-2' at 127.0.0.1"),
        ("cities-gpt-2", "did you mean 'cities-gpt-1'?"),
        ("CITIES", "did you mean 'cities-gpt-1'?"),
        ("zzz", "no experiment 'zzz'"),
        ("0c0ffee0-0000-4000-8000-000000000001", "no experiment"),
        ("capital cities", "a dataset has this name: say --dataset"),
        ("plain tracing", "'plain tracing' is a tracing project, no experiment: it has no reference dataset"),
    ],
)
def test_experiments_that_are_none(endpoint: Endpoint, named: str, words: str) -> None:
    with pytest.raises(ServiceError) as caught:
        find_experiment(make_client(endpoint), named)
    assert words in str(caught.value)


def test_datasets_that_are_none(endpoint: Endpoint) -> None:
    with pytest.raises(
        ServiceError, match=r"no dataset 'capitol' .* did you mean '[Cc]apital .*' or '[Cc]apital"
    ):
        find_dataset(make_client(endpoint), "capitol")


def test_the_words_of_the_sdk_are_not_passed_on() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    client = make_client(Endpoint(url, key="lsv2-secret"))
    client.session.close()
    client.session = type(client.session)()
    with pytest.raises(ServiceError) as caught, told(client):
        client.read_dataset(dataset_name="x")
    assert str(caught.value).endswith("cannot be reached: connection refused")


@pytest.mark.parametrize("name", ["LANGSMITH_OTEL_ENABLED", "LANGSMITH_OTEL_ONLY"])
def test_nothing_is_said_of_open_telemetry(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The SDK would warn that its packages are missing; a warning is an error here."""
    monkeypatch.setenv("LANGSMITH_OTEL_ENABLED", "true")
    monkeypatch.setenv(name, "true")
    cast(Any, get_env_var).cache_clear()  # the SDK reads the environment once per process
    try:
        make_client(Endpoint("http://127.0.0.1:9", key="k"))
        monkeypatch.setenv("LANGSMITH_API_KEY", "k")
        resolve("LANGSMITH_API_KEY")
    finally:
        cast(Any, get_env_var).cache_clear()


@pytest.mark.parametrize(
    "name", ["LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "LANGSMITH_API_KEY", "LANGCHAIN_API_KEY"]
)
def test_what_configures_a_service(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert configured() is None
    monkeypatch.setenv(name, " ")
    assert configured() is None
    monkeypatch.setenv(name, "x")
    assert configured() == name


def test_a_profile_configures_a_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / ".langsmith" / "config.json"
    path.parent.mkdir()
    profile = {"api_url": "https://ls.example", "api_key": "profile-key", "workspace_id": "w"}
    path.write_text(
        json.dumps({"current_profile": "work", "profiles": {"work": profile, "web": {"oauth": {}}}})
    )
    source = configured()
    assert source == "profile 'work' of ~/.langsmith/config.json"
    assert resolve(source) == Endpoint("https://ls.example", key="profile-key", workspace="w")
    monkeypatch.setenv("LANGSMITH_PROFILE", "web")
    with pytest.raises(ConfigError, match=r"has no API key: set LANGSMITH_API_KEY; a profile that signs in"):
        resolve(configured() or "")
    monkeypatch.setenv("LANGSMITH_PROFILE", "none")
    assert configured() is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LANGSMITH_ENDPOINT": "http://127.0.0.1:1984/"}, Endpoint("http://127.0.0.1:1984", key="")),
        ({"LANGSMITH_API_KEY": "k"}, Endpoint("https://api.smith.langchain.com", key="k")),
        (
            {
                "LANGCHAIN_ENDPOINT": "https://x.example",
                "LANGCHAIN_API_KEY": "k",
                "LANGSMITH_WORKSPACE_ID": "w",
            },
            Endpoint("https://x.example", key="k", workspace="w"),
        ),
    ],
)
def test_the_service_is_the_one_of_the_sdk(
    tmp_path: Path, environ: dict[str, str], expected: Endpoint
) -> None:
    # The SDK remembers its environment: a process of its own.
    code = (
        "from evalrunner.connect.endpoint import configured, resolve\n"
        "e = resolve(configured())\n"
        "print([e.url, e.key, e.workspace])\n"
    )
    base = {
        name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**base, **environ},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert done.stdout.strip() == str([expected.url, expected.key, expected.workspace])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://ls.example", "the LangSmith endpoint ls.example (LANGSMITH_ENDPOINT) has no API key"),
        ("ls.example", "takes an http(s) address, not 'ls.example'"),
    ],
)
def test_an_endpoint_that_cannot_be_used(tmp_path: Path, url: str, words: str) -> None:
    ended = done(tmp_path, "dataset", "list", LANGSMITH_ENDPOINT=url)
    assert ended.returncode == 2
    assert words in ended.stderr


@pytest.mark.parametrize(
    "where", [{}, {"LANGSMITH_ENDPOINT": "http://127.0.0.1:9", "LANGSMITH_API_KEY": "k"}]
)
@pytest.mark.parametrize("name", ["LANGSMITH_RUN_COMPRESSION_LEVEL", "LANGCHAIN_RUN_COMPRESSION_THREADS"])
def test_what_the_sdk_cannot_be_imported_with(tmp_path: Path, name: str, where: dict[str, str]) -> None:
    """It was an internal error, with the SDK's traceback."""
    ended = done(tmp_path, "dataset", "list", **{name: "best", **where})
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        f"error: {name}=best is no whole number, and the LangSmith SDK cannot be imported with that; unset it\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate", ["half", "2"])
def test_a_rate_that_is_none_does_not_concern_us(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING_SAMPLING_RATE", rate)
    monkeypatch.setenv("LANGSMITH_API_KEY", "k")
    cast(Any, get_env_var).cache_clear()
    try:
        make_client(resolve("LANGSMITH_API_KEY"))
    finally:
        cast(Any, get_env_var).cache_clear()
