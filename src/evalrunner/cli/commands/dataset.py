"""`evalrunner dataset push` and `evalrunner dataset list`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.exit_codes import ExitCode

_LOCAL = typer.Option("--local", help="Use the local backend even though a LangSmith is configured.")
_STORE = typer.Option("--store", metavar="FILE", help="The local backend's file.")
_JSON = typer.Option("--json", help="Print one JSON document on stdout, all else on stderr.")


def push(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .jsonl, .ndjson, .json (a list) or .csv file.")
    ],
    *,
    name: Annotated[str, typer.Option(metavar="NAME", help="The dataset; made if missing.")],
    inputs: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column that is an input. Repeatable.")
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column that is a reference output. Repeatable."),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column that is metadata. Repeatable.")
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that names the split.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(metavar="CHAR", help="What separates the cells of a CSV, if no comma.")
    ] = None,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep ids that are no UUIDs as metadata 'id', texts too.")
    ] = False,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Description of a new dataset.")
    ] = None,
    local: Annotated[bool, _LOCAL] = False,
    store: Annotated[str | None, _STORE] = None,
    json: Annotated[bool, _JSON] = False,
) -> ExitCode:
    """Add the rows of a file to a dataset, all or none; pushing again adds nothing.

    Rows are either objects with inputs and, as wanted, outputs, metadata, split and id, or flat: then
    --inputs, --outputs, --metadata and --split say which column is what. An example's id follows from the
    dataset's name and the row's content, unless the row names one, a UUID; an id that is a whole number is
    kept as metadata. What a CSV holds is text.
    """
    from evalrunner.cli.files.examples import Columns, read  # noqa: PLC0415

    output = Output(json=json)
    # The file is judged before any server is started or asked.
    notes: list[str] = []
    columns = Columns(
        tuple(inputs or ()), tuple(outputs or ()), tuple(metadata or ()), split, delimiter, keep_ids
    )
    examples = read(file, name, columns, notes)
    for note in notes:
        output.note(note)
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415

    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.cli.commands.dataset_push import push_examples  # noqa: PLC0415

        pushed = push_examples(endpoint, name, description, examples)
    if json:
        output.document(pushed.to_dict())
    else:
        output.line(pushed.sentence())
    return ExitCode.COMPLETE if pushed.visible else ExitCode.INCOMPLETE


def show(
    local: Annotated[bool, _LOCAL] = False,
    store: Annotated[str | None, _STORE] = None,
    json: Annotated[bool, _JSON] = False,
) -> ExitCode:
    """List the datasets: name, id, examples, splits, when last modified."""
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415

    output = Output(json=json)
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.cli.commands.dataset_push import list_datasets  # noqa: PLC0415

        rows = list_datasets(endpoint)
    if json:
        output.document(rows)
    elif rows:
        output.table(
            ("name", "id", "examples", "splits", "modified"),
            [[_cell(value) for value in row.values()] for row in rows],
        )
    else:
        output.line("there are no datasets yet")
    return ExitCode.COMPLETE


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
