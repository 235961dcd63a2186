"""`evalrunner push`: an experiment of the local store, sent to another LangSmith."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from evalrunner.cli.output import Output, shown
from evalrunner.cli.settings.gather import store_of
from evalrunner.cli.settings.sources import home_of
from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE, Endpoint
from evalrunner.connect.embedded import Embedded
from evalrunner.errors import ConfigError, ServiceError
from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.push.summary import Pushed, PushOptions

#: Holes that are printed one by one.
_NAMED = 10


def command(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Id or name, in the local store.")],
    *,
    to: Annotated[str, typer.Option(metavar="URL", help="The LangSmith to send it to.")],
    key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable that holds its API key.")
    ] = "LANGSMITH_API_KEY",
    dataset_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset there.")
    ] = None,
    experiment_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the experiment there.")
    ] = None,
    workspace: Annotated[str | None, typer.Option(metavar="ID", help="Workspace there.")] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The local backend's file. Default: the project's, as for run."),
    ] = None,
    no_time_shift: Annotated[
        bool, typer.Option("--no-time-shift", help="Leave times as they are, however old.")
    ] = False,
    delivery_deadline: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Seconds without any success after which the rest is not sent."
        ),
    ] = DELIVERY_DEADLINE,
    visible_deadline: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Seconds to wait for accepted runs to become readable."),
    ] = VISIBLE_DEADLINE,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Send an experiment of the local store to another LangSmith: dataset, traces, scores, attachments.

    Everything is read back by id. Run again, it asks what is there, and sends only the rest. Ids there are new,
    and the same each time. Services refuse runs that began more than 24 hours ago: where there are such, all times
    of the experiment are moved by one constant, which is printed and written into its metadata.
    """
    output = Output(json=json, quiet=quiet)
    target = _target(to, key_env, workspace)
    path = store_of(store)
    if not path.exists():
        raise ConfigError(f"there is no local store {shown(path)}; name one with --store")
    options = PushOptions(
        experiment,
        dataset_name,
        experiment_name,
        not no_time_shift,
        delivery_deadline,
        visible_deadline,
        root=home_of(Path.cwd()) / ".evalrunner" / "push",
    )
    try:
        with Embedded(path) as origin:
            pushed = _pushed(origin, target, options, output, key_env)
    except KeyboardInterrupt:
        output.error("interrupted; the same command goes on", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    _show(pushed, output)
    return ExitCode.COMPLETE if pushed.complete else ExitCode.INCOMPLETE


def _pushed(origin: Endpoint, target: Endpoint, options: PushOptions, output: Output, key_env: str) -> Pushed:
    from evalrunner.transfer.push.push import push  # noqa: PLC0415 - the SDK costs 0.3 s

    try:
        return push(origin, target, options, lambda text: output.note(text) if text else None)
    except ServiceError as error:
        # The sentences name the variables of the other commands.
        said = str(error).replace("LANGSMITH_API_KEY", key_env).replace("LANGSMITH_ENDPOINT", "--to")
        raise ServiceError(said.replace("LANGSMITH_WORKSPACE_ID", "--workspace")) from None


def _target(url: str, key_env: str, workspace: str | None) -> Endpoint:
    try:
        address = urlsplit(url.strip())
        told = address.scheme in ("http", "https") and address.hostname and (address.port or True)
    except ValueError:  # a port or an IPv6 address that is none
        told = False
    if not told or address.query or address.fragment:
        raise ConfigError(f"--to takes an http(s) address, not {url!r}")
    key = os.environ.get(key_env, "").strip()
    if not key:
        raise ConfigError(f"there is no API key for {address.hostname}: set {key_env}, or say --key-env")
    if not re.fullmatch(r"[!-~]+", key):
        raise ConfigError(f"the API key in {key_env} must be printable characters of ASCII without spaces")
    # urlsplit has made the scheme lower case, which the SDK wants.
    return Endpoint(address.geturl().rstrip("/"), key=key, workspace=workspace)


def _show(pushed: Pushed, output: Output) -> None:
    if output.json:
        output.document(pushed.to_dict())
    for text in pushed.warnings:
        output.note(f"warning: {text}")
    holes = _show_holes(pushed, output)
    if pushed.shift:
        output.detail(f"all times are moved by {_signed(pushed.shift)}; its metadata says so")
    for kind, total in pushed.total.items():
        output.detail(f"{kind}: {total:,}, of them sent now: {pushed.sent[kind]:,}")
    verdict = "all read back" if pushed.complete else f"{holes} not read back; push again"
    name = pushed.experiment["name"]
    output.line(f"experiment {name!r} ({pushed.experiment['id']}) at {pushed.destination}: {verdict}")


def _signed(seconds: int) -> str:
    return f"{'-' if seconds < 0 else ''}{timedelta(seconds=abs(seconds))}"


def _show_holes(pushed: Pushed, output: Output) -> int:
    """Name what is missing; return how much."""
    holes = [("not delivered", one) for one in pushed.not_delivered]
    holes += [("not visible", one) for one in pushed.not_visible]
    for what, hole in holes[:_NAMED]:
        origin = hole["source_id"] or "-"
        output.detail(f"{what}: {hole['kind']} {hole['id']} (of {origin}): {hole['reason']}")
    if len(holes) > _NAMED:
        output.detail(f"... and {len(holes) - _NAMED} more: --json has all of them")
    return len(holes)
