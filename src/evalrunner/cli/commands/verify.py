"""`evalrunner verify`: what an experiment holds, and what it lacks, whoever made it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.exit_codes import ExitCode


def command(
    experiment: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment, by id or name.")],
    *,
    recent: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="What has no end, and began within this time, may still be under way.",
        ),
    ] = 600,
    wait: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Look again for so long while something is missing that may yet come.",
        ),
    ] = 0,
    ids: Annotated[bool, typer.Option("--ids", help="Print the ids that each symptom is about.")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="FILE", help="The local backend's file.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, with all ids, on stdout.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only.")] = False,
) -> ExitCode:
    """Read an experiment back, whoever made it: which items are missing, pending, hidden, duplicate, unlinked.

    Nothing is executed, and nothing is changed. What an experiment was meant to hold is told as a run tells
    it. The exit code is 0 only if every item has its complete run and nothing else is wrong.
    """
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s
    from evalrunner.clock import SYSTEM  # noqa: PLC0415 - as above

    output = Output(json=json, quiet=quiet)
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.doctor import told  # noqa: PLC0415 - as above, once there is an endpoint
        from evalrunner.doctor.examine import settled  # noqa: PLC0415 - likewise
        from evalrunner.doctor.place import find  # noqa: PLC0415 - likewise

        examined = settled(find(endpoint, experiment), SYSTEM, timedelta(seconds=recent), wait)
    seen, found = examined.seen, examined.symptoms
    if json:
        output.document(told.document(seen, found, fresh=examined.fresh))
    else:
        for text in told.lines(seen, found, ids=ids):
            output.detail(text)
        output.line(told.verdict(seen, found, fresh=examined.fresh))
    return told.exit_code(found)
