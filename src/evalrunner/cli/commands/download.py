"""`evalrunner download`: a project or an experiment into a file that `evalrunner upload` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.download.summary import READ_DEADLINE, Downloaded, DownloadOptions

#: Holes that are printed one by one.
_NAMED = 10


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write; `-` is stdout, .zst and .gz are packed.")
    ],
    *,
    project: Annotated[str | None, typer.Option(metavar="P", help="A project, by id or name.")] = None,
    experiment: Annotated[str | None, typer.Option(metavar="E", help="An experiment, by id or name.")] = None,
    filter: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help='Only traces whose root this fits, in LangSmith\'s language: eq(status, "error")',
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="FILE", help="The local backend's file.")] = None,
    read_deadline: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="Seconds without any answer after which it ends."),
    ] = READ_DEADLINE,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Write a project or an experiment into a file that evalrunner upload reads: runs, feedback, attachments.

    One run per line, oldest trace first, parents before children; values are the bytes that LangSmith gives.
    FILE has its name only when it is whole. In the end the project is looked at once more, and what has
    appeared or changed meanwhile is said.
    """
    output = Output(json=json, quiet=quiet)
    options = DownloadOptions(
        None if str(file) == "-" else file.expanduser(), project, experiment, filter, force, read_deadline
    )
    _check(options, json=json)
    try:
        done = _downloaded(options, local, store, output)
    except KeyboardInterrupt:
        what = "what stdout has is not whole" if options.file is None else f"{file} was not written"
        output.error(f"interrupted; {what}", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    _show(done, output if options.file else Output(json=True, quiet=quiet), document=json)
    return ExitCode.COMPLETE if done.complete else ExitCode.INCOMPLETE


def _check(options: DownloadOptions, *, json: bool) -> None:
    if bool(options.project) == bool(options.experiment):
        raise ConfigError("say what to download: either --project P or --experiment E")
    if options.file is None and json:
        raise ConfigError(
            "stdout can hold the runs or the summary, not both: name a file, or leave out --json"
        )


def _downloaded(options: DownloadOptions, local: bool, store: str | None, output: Output) -> Downloaded:
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s
    from evalrunner.transfer.download.target import refuse_existing  # noqa: PLC0415

    refuse_existing(options.file, force=options.force)  # before any server is started or asked
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.transfer.download.session import download  # noqa: PLC0415

        return download(endpoint, options, output.note)


def _show(done: Downloaded, output: Output, *, document: bool) -> None:
    if document:
        output.document(done.to_dict())
    for text in done.warnings:
        output.note(f"warning: {text}")
    for hole in done.missing[:_NAMED]:
        output.detail(f"missing: {hole['kind']} {hole['name']} of run {hole['run']}: {hole['reason']}")
    if len(done.missing) > _NAMED:
        output.detail(f"... and {len(done.missing) - _NAMED} more: --json has all of them")
    counts = (
        f"{done.runs:,} runs of {done.traces:,} traces, {done.feedback:,} scores, "
        f"{done.attachments:,} attachments ({done.bytes / 1e6:,.1f} MB)"
    )
    where = "stdout" if done.file == "-" else done.file
    verdict = f"; {len(done.missing):,} thing(s) are missing in it" if done.missing else ""
    output.line(
        f"project {done.project['name']!r} ({done.project['id']}) at {done.source}: {counts} in {where}{verdict}"
    )
