"""`evalrunner story`: what happened to an example, as the ledger of a run knows it, or as the service does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalrunner.cli.commands.story_read import read_back
from evalrunner.cli.output import Output
from evalrunner.cli.settings.runs import run_folders, what_it_was
from evalrunner.cli.settings.sources import home_of
from evalrunner.errors import ConfigError
from evalrunner.exit_codes import ExitCode

if TYPE_CHECKING:
    from evalrunner.ledger.stories import Story

#: Ids that are named where a beginning fits several.
_NAMED = 5


def command(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[EXPERIMENT] EXAMPLE",
            help="Id of the example, or its beginning; before it, an experiment that is to be read back.",
        ),
    ],
    *,
    experiment: Annotated[
        str | None,
        typer.Option(
            "--experiment", "-e", metavar="ID|NAME", help="The last run's that has it, if not given."
        ),
    ] = None,
    repetition: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only this repetition, from 0; all, if not given.")
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(metavar="FOLDER", help="The run's folder.")] = None,
    local: Annotated[
        bool, typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
    ] = False,
    store: Annotated[str | None, typer.Option(metavar="FILE", help="The local backend's file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the stories as one JSON document.")] = False,
) -> ExitCode:
    """Tell what happened to an example: who executed it when, what became of it, in which order.

    With EXAMPLE alone it is what the ledger of a run in this project knows, while the run goes on too; nothing is
    asked from LangSmith. With EXPERIMENT before it, whoever made that, it is what LangSmith holds: its root runs,
    their scores, evaluators' traces, also over runs that are not there. Exits with 0 whatever became of the example,
    and with 2 where nobody knows it.
    """
    if len(words) == 2:
        if experiment or repetition is not None or run_dir:
            raise ConfigError(
                "--experiment, --repetition and --run-dir are of a run's ledger: say EXAMPLE alone"
            )
        return read_back(words[0], words[1], local=local, store=store, json=json)
    if len(words) != 1:
        raise ConfigError("say EXAMPLE, or EXPERIMENT EXAMPLE")
    if local or store:
        raise ConfigError(
            "--local and --store are of an experiment that is read back: evalrunner story EXPERIMENT EXAMPLE"
        )
    [example] = words
    home = home_of(Path.cwd())
    folder, told = _found(home, run_dir, experiment, example)
    told = [one for one in told if repetition in (None, one.repetition)]
    if not told:
        raise ConfigError(f"the run in {folder} has no repetition {repetition} of that example")
    output = Output(json=json)
    if json:
        output.document(_document(folder, told))
        return ExitCode.COMPLETE
    for one in told:
        _show(one, output)
    return ExitCode.COMPLETE


def _found(
    home: Path, run_dir: Path | None, experiment: str | None, example: str
) -> tuple[Path, list[Story]]:
    """Return the newest run that has the example, and the stories of its items.

    Raises:
        ConfigError: there is none, or the beginning of an id fits several.
    """
    there = [path for path in run_folders(home, run_dir) if (path / "ledger.sqlite").is_file()]
    folders = [path for path in there if experiment is None or what_it_was(path, experiment) is not None]
    of = f" of experiment {experiment!r}" if experiment else ""
    if not folders:
        raise ConfigError(
            f"there is no run{of} in {run_dir or home}; run an evaluation here, or say --run-dir"
        )
    for folder in folders:
        if found := _stories(folder, example.lower()):
            return folder, found
    raise ConfigError(
        f"no run{of} in {run_dir or home} knows an example {example!r}; `evalrunner report --json` names those "
        "of the last one"
    )


def _stories(folder: Path, example: str) -> list[Story]:
    from evalrunner.ledger.stories import stories  # noqa: PLC0415 - nothing of this is needed for --help

    with stories(folder / "ledger.sqlite") as known:
        ids = known.examples(example)
        if len(ids) > 1:
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            raise ConfigError(
                f"{len(ids)} examples begin with {example!r}: {', '.join(ids[:_NAMED])}{more}; say more of the id"
            )
        return known.of(ids[0]) if ids else []


def _show(story: Story, output: Output) -> None:
    output.line(f"{story.example_id} #{story.repetition}: {', '.join(_facts(story))}")
    rows = [
        (_time(one.at), _who(one.slot, one.worker), "-" if one.lease is None else str(one.lease), one.what)
        for one in story.events
    ]
    if rows:
        output.table(("when", "worker", "lease", "what"), rows)
    else:
        output.line("nothing has happened to it yet")
    output.line("")


def _facts(story: Story) -> Iterator[str]:
    yield _state(story)
    if story.attempt:
        yield f"attempt {story.attempt}"
    if story.run_id:
        yield f"run {story.run_id}"
    if story.error:
        yield f"error: {story.error}"
    if story.reason:
        yield f"reason: {story.reason}"


def _state(story: Story) -> str:
    return story.state.name.lower().replace("_", " ")


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="milliseconds")


def _who(slot: int | None, worker: int | None) -> str:
    """Name a worker by its place, and by its number: the one that replaces it has another."""
    return "-" if worker is None else f"{'?' if slot is None else slot} (number {worker})"


def _document(folder: Path, told: list[Story]) -> dict[str, Any]:
    run = what_it_was(folder, None) or {}
    return {
        "experiment": {"id": run.get("id"), "name": run.get("experiment")},
        "run_dir": str(folder),
        "items": [
            {
                **asdict(one),
                "state": _state(one),
                "events": [{**asdict(event), "at": _time(event.at)} for event in one.events],
            }
            for one in told
        ],
    }
