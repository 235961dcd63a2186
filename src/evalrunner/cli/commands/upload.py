"""`evalrunner upload`: recorded traces of files, into a project."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from evalrunner.cli.commands.upload_shown import show, show_replayed
from evalrunner.cli.output import Output
from evalrunner.cli.settings.endpoint import opened
from evalrunner.cli.settings.gather import Settings, gather
from evalrunner.cli.settings.sources import home_of
from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.upload.shift import read_shift
from evalrunner.transfer.upload.summary import UploadOptions


class Verify(str, Enum):
    """What is read back."""

    ids = "ids"
    content = "content"
    none = "none"


class OnError(str, Enum):
    """What a broken trace does."""

    fail = "fail"
    skip = "skip"


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Files of runs (JSON, JSONL; gzip, zstd), folders of such, or - for stdin.",
        ),
    ] = None,
    *,
    project: Annotated[
        str | None, typer.Option("--project", "-p", metavar="NAME", help="The project; made if needed.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of files: send what the SDK left in LANGSMITH_FAILED_TRACES_DIR, verbatim.",
        ),
    ] = None,
    shift: Annotated[
        str | None,
        typer.Option(
            metavar="now|trace|none|DELTA",
            help="How times move: all by one constant so that the newest is now, each trace by its own, not at all, "
            "or so far (36h, -2d12h). Default: as the project's first upload, which is now.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing, and say what would happen.")
    ] = False,
    on_error: Annotated[
        OnError, typer.Option(help="A broken trace keeps everything back (fail), or only itself (skip).")
    ] = OnError.fail,
    verify: Annotated[
        Verify, typer.Option(help="Read back every id, all that runs say (content), or nothing.")
    ] = Verify.ids,
    failed: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where broken and refused traces go. Default: the upload's own folder."
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend, even if a LangSmith is configured.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The local backend's file. Default: the project's, as for run."),
    ] = None,
    delivery_deadline: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Seconds without any success after which the rest is not sent."
        ),
    ] = DELIVERY_DEADLINE,
    visible_deadline: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Seconds to wait for accepted traces to become readable."
        ),
    ] = VISIBLE_DEADLINE,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Upload recorded traces into a project: fresh ids and times, nothing else changed, each exactly once.

    Every run is read back by id. Run again, it goes on where it was, and adds nothing where all is there, on
    another day and from another folder too: how times move is fixed by the project's first upload, and ids are
    a function of what the file says.
    """
    output = Output(json=json, quiet=quiet)
    settings = gather({"local": local or None, "store": store})
    if replay is not None:
        _refuse_beside_replay(files, project, shift=shift, dry_run=dry_run, failed=failed)
        return _until_interrupted(
            lambda: _replay(replay.expanduser(), delivery_deadline, settings, output), output
        )
    if not files:
        raise ConfigError("nothing to upload: name files or folders, - for stdin, or --replay DIR")
    if not project or not project.strip():
        raise ConfigError("--project NAME is missing: where the traces go")
    if shift is not None:
        read_shift(shift)  # before any server is started or asked
    paths = tuple(None if name == "-" else Path(name).expanduser() for name in files)
    for path in paths:
        if path is not None and not path.exists():
            raise ConfigError(f"{path} is not there")
    options = UploadOptions(
        paths,
        project.strip(),
        shift,
        verify.value,
        on_error.value,
        dry_run,
        delivery_deadline,
        visible_deadline,
        failed.expanduser() if failed else None,
        root=home_of(Path.cwd()) / ".evalrunner" / "upload",
    )
    return _until_interrupted(lambda: _upload(options, settings, output), output)


def _refuse_beside_replay(files: list[str] | None, project: str | None, **others: object) -> None:
    """Refuse what a replay would leave unheeded: it sends what there is, as it is."""
    if files or project:
        raise ConfigError("--replay takes neither files nor --project: envelopes name their own projects")
    for name, given in others.items():
        if given:
            flag = name.replace("_", "-")
            raise ConfigError(f"--replay sends envelopes as they are: --{flag} does not go with it")


def _until_interrupted(work: Callable[[], ExitCode], output: Output) -> ExitCode:
    try:
        return work()
    except KeyboardInterrupt:
        output.error("interrupted; the same command goes on", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED


def _upload(options: UploadOptions, settings: Settings, output: Output) -> ExitCode:
    with opened(settings, output) as endpoint:
        from evalrunner.transfer.upload.session import upload  # noqa: PLC0415 - the SDK costs 0.3 s

        uploaded = upload(endpoint, options, lambda text: output.note(text) if text else None)
    show(uploaded, output)
    return uploaded.exit_code


def _replay(folder: Path, deadline: float, settings: Settings, output: Output) -> ExitCode:
    with opened(settings, output) as endpoint:
        from evalrunner.transfer.replay import replay  # noqa: PLC0415 - as above

        done = replay(
            endpoint,
            folder,
            delivery_deadline=deadline,
            note=lambda text: output.note(text) if text else None,
        )
    show_replayed(done, output)
    return ExitCode.COMPLETE if done.complete else ExitCode.INCOMPLETE
