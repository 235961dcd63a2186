"""`evalrunner upload`: recorded traces of files, into a project."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalrunner.cli.output import Output, shown
from evalrunner.cli.settings.endpoint import opened
from evalrunner.cli.settings.gather import gather
from evalrunner.cli.settings.sources import home_of
from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from evalrunner.upload.recorded.summary import Hole, Uploaded

#: Traces that are named one by one, of each kind.
_NAMED = 10


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
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Files of runs (JSON, JSONL; gzip, zstd), folders of such, or - for stdin.",
        ),
    ],
    *,
    project: Annotated[
        str, typer.Option("--project", "-p", metavar="NAME", help="The project; made if needed.")
    ],
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
    paths = tuple(None if name == "-" else Path(name).expanduser() for name in files)
    if not project.strip():
        raise ConfigError("--project takes a name")
    from evalrunner.upload.recorded.summary import UploadOptions  # noqa: PLC0415

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
    try:
        with opened(gather({"local": local or None, "store": store}), output) as endpoint:
            from evalrunner.upload.recorded.upload import upload  # noqa: PLC0415 - the SDK costs 0.3 s

            uploaded = upload(endpoint, options, lambda text: output.note(text) if text else None)
    except KeyboardInterrupt:
        output.error("interrupted; the same command goes on", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    show(uploaded, output)
    return uploaded.exit_code


def show(uploaded: Uploaded, output: Output) -> None:
    """Print what an upload came to."""
    if output.json:
        output.document(uploaded.to_dict())
    for text in uploaded.warnings:
        output.note(f"{'note' if uploaded.dry_run else 'warning'}: {text}")
    kinds = (
        ("broken", uploaded.broken),
        ("not delivered", uploaded.not_delivered),
        ("not visible", uploaded.not_visible),
        ("different", uploaded.different),
    )
    for what, holes in kinds:
        _name(what, holes, output)
    if uploaded.failed:
        output.detail(f"traces that are not there, with reasons: {shown(Path(uploaded.failed))}")
    total = uploaded.total
    output.detail(
        f"input: {total['traces']:,} sound traces, {total['runs']:,} runs, {total['bytes'] / 1e6:,.1f} MB"
    )
    output.detail(f"times move: {uploaded.shift}")
    if not uploaded.dry_run:
        sent = uploaded.sent or {"traces": 0, "runs": 0, "feedback": 0}
        output.detail(
            f"sent now: {sent['traces']:,} traces ({sent['runs']:,} runs, {sent['feedback']:,} scores); "
            f"there already: {uploaded.already:,}"
        )
    output.line(_verdict(uploaded))


def _name(what: str, holes: list[Hole], output: Output) -> None:
    for hole in holes[:_NAMED]:
        line = hole.where["line"]
        where = (
            f"{hole.where['file']}:{line}" if line else f"{hole.where['file']}, byte {hole.where['offset']:,}"
        )
        output.detail(f"{what}: trace {hole.trace_id} ({where}): {hole.reason}")
    if len(holes) > _NAMED:
        output.detail(f"... and {len(holes) - _NAMED:,} more: --json has all of them")


def _verdict(uploaded: Uploaded) -> str:
    name, traces = repr(uploaded.project["name"]), uploaded.total["traces"]
    if uploaded.dry_run:
        made = "exists" if uploaded.project["id"] else "would be made"
        broken = f", {len(uploaded.broken):,} are broken" if uploaded.broken else ""
        return (
            f"dry run: {traces:,} traces would go to {name} at {uploaded.destination}, which {made}{broken}"
        )
    where = f"project {name} ({uploaded.project['id'] or 'not made'}) at {uploaded.destination}"
    holes = len(uploaded.not_delivered) + len(uploaded.not_visible) + len(uploaded.different)
    if holes:
        return f"{where}: {holes:,} of {traces:,} traces are not there as sent; run it again"
    left = f"; {len(uploaded.broken):,} broken ones are left out" if uploaded.broken else ""
    if uploaded.verify == "none":
        return f"{where}: {traces:,} traces accepted, none read back{left}"
    how = "read back by id" if uploaded.verify == "ids" else "read back and compared"
    return f"{where}: all {traces:,} traces {how}{left}"
