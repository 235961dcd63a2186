"""`evalrunner story EXPERIMENT EXAMPLE`: what LangSmith holds of one example, in order."""

from __future__ import annotations

from dataclasses import asdict

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.exit_codes import ExitCode


def read_back(experiment: str, example: str, *, local: bool, store: str | None, json: bool) -> ExitCode:
    """Read it, and print it.

    Raises:
        ServiceError: experiment or example do not exist, or cannot be read.
    """
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s

    output = Output(json=json)
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.doctor.place import find  # noqa: PLC0415 - as above, once there is an endpoint
        from evalrunner.doctor.story import example_of, story  # noqa: PLC0415 - likewise

        place = find(endpoint, experiment)
        told = story(place, example_of(place, example))
    if json:
        output.document({"experiment": {"id": place.id, "name": place.name}, **asdict(told)})
        return ExitCode.COMPLETE
    output.line(f"{told.example} in {place.name!r}: {len(told.complete):,} complete root runs")
    output.table(
        ("when", "run", "what"), ((one.at or "-", one.run or "-", one.what) for one in told.happened)
    )
    for run in told.absent:
        output.line(f"run {run} was executed, for evaluators looked at it, and is not there")
    if not told.complete:
        output.line(f"why: evalrunner doctor {place.name}")
    return ExitCode.COMPLETE
