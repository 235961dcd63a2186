"""`evalrunner doctor --service`: what is not known of a LangSmith service until it is tried."""

from __future__ import annotations

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import gather
from evalrunner.exit_codes import ExitCode


def try_service(*, local: bool, store: str | None, json: bool, quiet: bool) -> ExitCode:
    """Try it, and print what was seen.

    Raises:
        ServiceError: the service cannot be used, or refuses what is tried.
    """
    from evalrunner.cli.settings.endpoint import opened  # noqa: PLC0415 - the SDK costs 0.3 s

    output = Output(json=json, quiet=quiet)
    with opened(gather({"local": local or None, "store": store}), output) as endpoint:
        from evalrunner.clock import SYSTEM  # noqa: PLC0415 - as above, once there is an endpoint
        from evalrunner.doctor.probe import probe  # noqa: PLC0415 - likewise

        output.note("a dataset and an experiment are made, and removed again")
        found = []
        for seen in probe(endpoint, SYSTEM):
            found.append(seen)
            output.detail(f"{seen.question}: {seen.answer}")
    if json:
        output.document({"seen": [{"question": one.question, "answer": one.answer} for one in found]})
    return ExitCode.COMPLETE
