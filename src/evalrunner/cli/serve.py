"""`evalrunner serve`: the local backend by itself, for the SDK, for a browser, for other machines."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import socket
import stat
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from evalrunner.cli.exit_codes import ExitCode
from evalrunner.cli.output import Output
from evalrunner.connect.embedded_server import announcer, owning
from evalrunner.connect.state import State, write_private
from evalrunner.errors import ConfigError, RunFolderError

_STORE = Path(".evalrunner/store.sqlite")
_STORE_WAIT = 3.0


def command(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 0,
    store: Annotated[Path, typer.Option(metavar="FILE", help="The SQLite file.")] = _STORE,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with the token that clients must send.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(metavar="PLAN", help="Misbehave as the TOML plan in this file says.")
    ] = None,
) -> ExitCode:
    """Serve the local backend until it is interrupted.

    The token comes from EVALRUNNER_TOKEN or --token-file; else one is made, in a file beside the store that
    only you can read. Clients send it as their LANGSMITH_API_KEY. Commands in this folder find the server by
    themselves.
    """
    from evalrunner.backend.server import serve  # noqa: PLC0415 - the web framework costs 0.2 s
    from evalrunner.backend.web.door import sign_in_path  # noqa: PLC0415

    path = store.expanduser().absolute()
    given = _given_token(token_file)
    with owning(path, wait=_STORE_WAIT) as state:
        token, source = given or _made_token(state)
        announce = announcer(state, path, token)

        def ready(url: str) -> None:
            announce(_reached(url, "127.0.0.1"))
            _print(path, _reached(url, socket.gethostname()), source, sign_in_path(token))

        try:
            serve(path, host=host, port=port, token=token, faults=faults, ready=ready)
        except OSError as error:
            raise RunFolderError(f"cannot serve at {host}:{port}: {error.strerror or error}") from None
    return ExitCode.COMPLETE


def _reached(url: str, name: str) -> str:
    """Return the address to use for a server that listens on every address."""
    address = urlsplit(url)
    if address.hostname not in ("0.0.0.0", "::"):  # noqa: S104 - a comparison, not a bind
        return url
    return f"http://{name}:{address.port}"


def _print(store: Path, url: str, source: str, sign_in: str) -> None:
    # On a name that is not loopback, the SDK's links keep the port only behind this path.
    path = "" if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1") else "/api/v1"
    output = Output()
    output.line(f"serving {store} at {url}; Ctrl-C ends it. For the SDK:")
    output.line(f"  export LANGSMITH_ENDPOINT={url}{path}")
    output.line(f"  export LANGSMITH_API_KEY={source}")
    output.line(f"In a browser (this link shows everything, and changes nothing): {url}{sign_in}")


def _given_token(token_file: Path | None) -> tuple[str, str] | None:
    """Return the token that the user chose, and how the shell gets at it."""
    if token_file:
        return _read_token(token_file.expanduser()), f'"$(cat {_quoted(token_file.expanduser().absolute())})"'
    token = os.environ.get("EVALRUNNER_TOKEN", "").strip()
    return (_acceptable(token, "EVALRUNNER_TOKEN"), '"$EVALRUNNER_TOKEN"') if token else None


def _made_token(state: State) -> tuple[str, str]:
    """Return the token of the last time, or a new one: exports in other terminals stay good."""
    path = state.token_file
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return _read_token(path), f'"$(cat {_quoted(path)})"'


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
