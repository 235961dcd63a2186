"""`evalrunner serve`: the local backend by itself, for the SDK, for a browser, for other machines."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import store_of
from evalrunner.connect.embedded_server import announcer, owning
from evalrunner.connect.state import State, write_private
from evalrunner.errors import ConfigError, RunFolderError
from evalrunner.exit_codes import ExitCode

MakeToken = Callable[[], tuple[str, str]]
"""Makes a token; returns it, and how the shell gets at it."""
Announce = Callable[[str, str], None]
"""Tells commands in the store's folder of this server's url and token."""

_STORE_WAIT = 3.0


class Query(str, Enum):
    """Generations of reading runs that a server may have."""

    LEGACY = "legacy"
    BOTH = "both"
    V2 = "v2"


_FLAGS = {
    Query.LEGACY: {"ch_query_enabled": True, "sdb_query_enabled": False},
    Query.BOTH: {"ch_query_enabled": True, "sdb_query_enabled": True},
    Query.V2: {"ch_query_enabled": False, "sdb_query_enabled": True},
}


def command(
    *,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")] = 0,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The SQLite file. Default: the project's, as for run."),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token that clients must send.")
    ] = None,
    query: Annotated[
        Query,
        typer.Option(
            metavar="legacy|both|v2", help="Which reads of runs are said to be there: the SDK goes by that."
        ),
    ] = Query.LEGACY,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show the store and take in nothing; a writer may be at work.")
    ] = False,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="What models cost, as prices.toml beside the store would say it."),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="PLAN", help="Misbehave as the TOML plan in this file says.")
    ] = None,
) -> ExitCode:
    """Serve the local backend until it is interrupted.

    The token comes from EVALRUNNER_TOKEN or --token-file; else one is made, in a file beside the store that
    only you can read. Clients send it as their LANGSMITH_API_KEY. Commands in this folder find the server by
    themselves.

    With --read-only nothing is written, to the store or beside it: a token that is made is another one each
    time, and commands do not look for this server. With --query v2 the older reads of runs answer 501, as a
    service does that has given them up.
    """
    from evalbackend.errors import BackendError  # noqa: PLC0415
    from evalbackend.serve import serve  # noqa: PLC0415 - the web framework costs 0.2 s
    from evalbackend.web.door import sign_in_path  # noqa: PLC0415

    if not host:  # sockets take that for every address
        raise ConfigError("--host needs an address: 127.0.0.1, or 0.0.0.0 for every one")
    path = store_of(store)
    given = _given_token(token_file)
    with _looking_on() if read_only else _owned(path) as (make_token, announce):
        token, source = given or make_token()

        def ready(url: str) -> None:
            announce(_reached(url, "127.0.0.1"), token)
            _print(path, _reached(url, socket.gethostname()), source, sign_in_path(token), read_only)

        try:
            serve(
                path, host=host, port=port, token=token, faults=faults, ready=ready, flags=_FLAGS[query],
                read_only=read_only, prices=prices,
            )  # fmt: skip
        except BackendError as error:
            raise ConfigError(str(error)) from error
        except OSError as error:
            raise RunFolderError(f"cannot serve at {host}:{port}: {error.strerror or error}") from None
    return ExitCode.COMPLETE


@contextmanager
def _owned(store: Path) -> Iterator[tuple[MakeToken, Announce]]:
    """Have the store for ourselves; commands in its folder find us."""
    with owning(store, wait=_STORE_WAIT) as state:
        yield lambda: _kept_token(state), lambda url, token: announcer(state, store, token)(url)


@contextmanager
def _looking_on() -> Iterator[tuple[MakeToken, Announce]]:
    """Leave no trace where the store is; what opens this server for reading opens no writer."""
    with tempfile.TemporaryDirectory(prefix="evalrunner-") as folder:
        yield lambda: _made_token(Path(folder, "token")), lambda url, token: None


def _reached(url: str, name: str) -> str:
    """Return the address to use for a server that listens on every address."""
    address = urlsplit(url)
    if address.hostname not in ("0.0.0.0", "::"):  # noqa: S104 - a comparison, not a bind
        return url
    return f"http://{name}:{address.port}"


def _print(store: Path, url: str, source: str, sign_in: str, read_only: bool) -> None:
    # On a name that is not loopback, the SDK's links keep the port only behind this path.
    path = "" if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1") else "/api/v1"
    output = Output()
    how = "read-only " if read_only else ""
    output.line(f"serving {store} {how}at {url}; Ctrl-C ends it. For the SDK:")
    output.line(f"  export LANGSMITH_ENDPOINT={url}{path}")
    output.line(f"  export LANGSMITH_API_KEY={source}")
    output.line(f"In a browser (this link shows everything, and changes nothing): {url}{sign_in}")


def _given_token(token_file: Path | None) -> tuple[str, str] | None:
    """Return the token that the user chose, and how the shell gets at it."""
    if token_file:
        return _read_token(token_file.expanduser()), _in_file(token_file.expanduser().absolute())
    token = os.environ.get("EVALRUNNER_TOKEN", "").strip()
    return (_acceptable(token, "EVALRUNNER_TOKEN"), '"$EVALRUNNER_TOKEN"') if token else None


def _kept_token(state: State) -> tuple[str, str]:
    """Return the token of the last time, or a new one: exports in other terminals stay good."""
    path = state.token_file
    return (_read_token(path), _in_file(path)) if path.exists() else _made_token(path)


def _made_token(path: Path) -> tuple[str, str]:
    """Return a new token, in a file that only its owner can read."""
    token = secrets.token_urlsafe(32)
    write_private(path, token)
    return token, _in_file(path)


def _in_file(path: Path) -> str:
    return f'"$(cat {_quoted(path)})"'


def _read_token(path: Path) -> str:
    try:
        facts = path.stat()
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token file {path} cannot be read: {error}") from None
    if stat.S_ISREG(facts.st_mode) and facts.st_mode & 0o077:
        raise ConfigError(f"others can read the token file {path}; say: chmod 600 {_quoted(path)}")
    return _acceptable(token, str(path))


def _acceptable(token: str, source: str) -> str:
    if not re.fullmatch(r"[!-~]{8,}", token):
        raise ConfigError(f"the token in {source} must be 8 or more printable characters without spaces")
    return token


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
