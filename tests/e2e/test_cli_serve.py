"""`evalrunner serve`: a token that is kept, a server that commands find, an orderly end."""

from __future__ import annotations

import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from evalrunner.connect.state import State
from tests.support.cli import done
from tests.support.rig import clean_environment

COMMAND = (sys.executable, "-m", "evalrunner")


def environment(folder: Path, **more: str) -> dict[str, str]:
    return clean_environment(HOME=str(folder), **more)


@dataclass
class Served:
    """A server, and what it told its terminal."""

    process: subprocess.Popen[str]
    lines: list[str]

    @property
    def url(self) -> str:
        return self.lines[1].partition("LANGSMITH_ENDPOINT=")[2].strip()

    def shell(self, script: str, folder: Path, **more: str) -> str:
        """Run a script after the two export lines."""
        exports = "\n".join(self.lines[1:])
        done = subprocess.run(
            ["sh", "-c", f"{exports}\n{script}"],
            env=environment(folder, **more),
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        return done.stdout

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=60)


@contextmanager
def serving(folder: Path, *arguments: str, **environ: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [*COMMAND, "serve", *arguments],
        cwd=folder,
        env=environment(folder, **environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            yield Served(process, [process.stdout.readline() for _ in range(3)])
        finally:
            process.kill()


def refused(folder: Path, *arguments: str, **environ: str) -> str:
    ended = done(folder, "serve", *arguments, **environ)
    assert ended.returncode == 2
    return ended.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_exports_work_and_a_signal_ends_it(tmp_path: Path, how: signal.Signals) -> None:
    with serving(tmp_path) as served:
        state = State.of(tmp_path / ".evalrunner" / "store.sqlite")
        assert state.token_file.stat().st_mode & 0o777 == 0o600
        token = state.token_file.read_text()
        assert token not in "".join(served.lines)
        python = shlex.quote(sys.executable)
        script = f"{python} -c 'import langsmith; print(langsmith.Client().create_dataset(\"d\").name)'"
        assert served.shell(script, tmp_path) == "d\n"
        assert requests.get(f"{served.url}/datasets", timeout=60).status_code == 401
        assert served.end(how) == 0
        assert state.server() is None


def test_commands_in_the_folder_find_it_and_another_server_does_not_start(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        state = State.of(tmp_path / ".evalrunner" / "store.sqlite")
        before = state.server()
        words = refused(tmp_path)
        assert f"is served at {served.url} (pid {served.process.pid})" in words
        assert done(tmp_path, "dataset", "list").stdout == "there are no datasets yet\n"
        assert state.server() == before
        assert served.end(signal.SIGTERM) == 0


def test_the_token_is_kept_from_one_time_to_the_next(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with serving(tmp_path, "--store", "x.sqlite") as served:
            tokens.append((tmp_path / "x.sqlite.d" / "token").read_text())
            assert served.end(signal.SIGTERM) == 0
    assert tokens[0] == tokens[1]


def test_tokens_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    with serving(tmp_path, EVALRUNNER_TOKEN="chosen-by-hand") as served:
        assert served.lines[2] == '  export LANGSMITH_API_KEY="$EVALRUNNER_TOKEN"\n'
        answer = requests.get(f"{served.url}/datasets", headers={"x-api-key": "chosen-by-hand"}, timeout=60)
        assert answer.status_code == 200
    path = tmp_path / "my token"
    path.write_text("chosen-in-a-file\n")
    assert "others can read the token file my token; say: chmod 600 'my token'" in refused(
        tmp_path, "--token-file", "my token"
    )
    path.chmod(0o600)
    with serving(tmp_path, "--token-file", "my token") as served:
        assert served.shell('echo "$LANGSMITH_API_KEY"', tmp_path) == "chosen-in-a-file\n"


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (("--token-file", "none"), {}, "the token file none cannot be read"),
        ((), {"EVALRUNNER_TOKEN": "short"}, "the token in EVALRUNNER_TOKEN must be 8 or more"),
        (("--query", "v3"), {}, "Invalid value for '--query'"),
        (("--faults", "none.toml"), {}, "the fault plan none.toml cannot be read"),
        (("--host", "203.0.113.1"), {}, "cannot serve at 203.0.113.1:0"),
        (("--host", ""), {}, "--host needs an address"),
    ],
)
def test_what_cannot_be_served(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], words: str
) -> None:
    assert words in refused(tmp_path, *arguments, **environ)


def test_a_port_in_use(tmp_path: Path) -> None:
    with serving(tmp_path) as served:
        port = served.url.rpartition(":")[2]
        words = refused(tmp_path, "--port", port, "--store", "other.sqlite")
        assert f"cannot serve at 127.0.0.1:{port}: Address already in use" in words


def test_the_link_opens_the_pages_and_does_not_carry_the_token(tmp_path: Path) -> None:
    with serving(tmp_path, EVALRUNNER_TOKEN="chosen-by-hand") as served:
        assert served.process.stdout is not None
        link = served.process.stdout.readline().split()[-1]
        assert link.startswith(f"{served.url}/login?code=")
        assert "chosen-by-hand" not in link
        with requests.Session() as visitor:
            answer = visitor.get(link, timeout=60)
        assert (answer.status_code, answer.url) == (200, f"{served.url}/ui/")


def test_read_only_shows_a_store_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    python = shlex.quote(sys.executable)
    ask = f"{python} -c 'import langsmith; print([d.name for d in langsmith.Client().list_datasets()])'"
    make = f"{python} -c 'import langsmith; langsmith.Client().create_dataset(\"d\")'"
    with serving(tmp_path, "--store", "x.sqlite") as writer:
        writer.shell(make, tmp_path)
        state = State.of(tmp_path / "x.sqlite")
        announced = state.server()
        with serving(tmp_path, "--read-only", "--store", "x.sqlite") as beside:
            assert "x.sqlite read-only at http" in beside.lines[0]
            assert state.server() == announced
            assert beside.shell(ask, tmp_path) == "['d']\n"
            with pytest.raises(subprocess.CalledProcessError) as refusal:
                beside.shell(make, tmp_path)
            assert "this server is read-only" in refusal.value.stderr
            assert beside.shell('echo "$LANGSMITH_API_KEY"', tmp_path).strip() != state.token_file.read_text()
            assert beside.end(signal.SIGTERM) == 0
        assert writer.end(signal.SIGTERM) == 0
    before = everything(tmp_path)
    with serving(tmp_path, "--read-only", "--store", "x.sqlite", TMPDIR=str(tmp_path.parent)) as alone:
        assert alone.shell(ask, tmp_path) == "['d']\n"
        made = shlex.split(alone.lines[2].partition("$(cat ")[2].replace(')"', ""))[0]
        assert (Path(made).stat().st_mode & 0o777, Path(made).parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert alone.end(signal.SIGTERM) == 0
    assert everything(tmp_path) == before
    assert not Path(made).parent.exists()


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the files of a folder with the time of their last change, but for the SDK's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".langsmith" not in path.parts]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_read_only_needs_a_store_of_this_version(tmp_path: Path) -> None:
    assert "there is no store at" in refused(tmp_path, "--read-only")
    with serving(tmp_path) as served:
        assert served.end(signal.SIGTERM) == 0
    with closing(sqlite3.connect(tmp_path / ".evalrunner" / "store.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 3")
    words = refused(tmp_path, "--read-only")
    assert "has schema 3" in words
    assert "serve it once without --read-only" in words


@pytest.mark.parametrize(
    ("told", "flags", "older"),
    [
        ((), (True, False), 200),
        (("--query", "both"), (True, True), 200),
        (("--query", "v2"), (False, True), 501),
    ],
)
def test_the_reads_that_it_is_said_to_have(
    tmp_path: Path, told: tuple[str, ...], flags: tuple[bool, bool], older: int
) -> None:
    with serving(tmp_path, *told, EVALRUNNER_TOKEN="chosen-by-hand") as served:
        info = requests.get(f"{served.url}/info", timeout=60).json()["instance_flags"]
        assert (info["ch_query_enabled"], info["sdb_query_enabled"]) == flags
        assert info["zstd_compression_enabled"] is True
        key = {"x-api-key": "chosen-by-hand"}
        project = requests.get(f"{served.url}/sessions", headers=key, timeout=60).json()[0]["id"]
        asked = {"session": [project]}
        answer = requests.post(f"{served.url}/runs/query", json=asked, headers=key, timeout=60)
        assert answer.status_code == older
        asked = {"project_ids": [project]}
        answer = requests.post(f"{served.url}/api/v2/runs/query", json=asked, headers=key, timeout=60)
        assert answer.status_code == 200
