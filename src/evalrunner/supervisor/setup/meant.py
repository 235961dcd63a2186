"""The examples that are to be evaluated: what was asked for, or what the experiment was meant to hold."""

from __future__ import annotations

from collections.abc import Sequence

from langsmith import Client

from evalrunner.config import RunConfig
from evalrunner.errors import UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.service.past import examples_then
from evalrunner.supervisor.setup.dataset import Reading, newest, nothing, read_examples
from evalrunner.supervisor.setup.refusals import check_size
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify import findings
from evalrunner.verify.codes import Finding
from evalrunner.verify.meant import Meant, choose, example, until
from evalrunner.verify.readback import RootRun


def read_meant(
    client: Client, ledger: Ledger, config: RunConfig, scope: Scope, roots: Sequence[RootRun]
) -> tuple[Reading, list[Finding]]:
    """Read the examples into the ledger; return those that are to be evaluated, and what is to be said of others.

    Args:
        roots: every root run of the experiment.

    Raises:
        UsageError: there are none, or too many.
    """
    as_of, splits = scope.as_of, scope.splits
    # Whoever says which examples he means, means those; in an experiment that nobody has filled, all are meant.
    asked = bool(config.as_of or config.splits or config.limit)
    linked = [root for root in roots if root.example_id is not None]
    told = scope.told if linked and not asked else None
    beside = asked and bool(linked) and scope.told is not None
    # The next run reads this version again, unless it is told once more what was found.
    pins = told is None and bool(config.as_of or not (beside or as_of))
    version = newest(client, str(scope.dataset_id), as_of) if pins else None
    reading = read_examples(
        client,
        ledger,
        str(scope.dataset_id),
        as_of=version or as_of,
        splits=splits,
        limit=scope.limit,
        known=told is not None,
    )
    if not reading.ids:
        raise UsageError(nothing(config, scope.dataset_name, as_of=as_of, splits=splits))
    found: list[Finding] = []
    reading.version = max(filter(None, (reading.version, version)), default=None)
    last = max((root.started for root in linked), default="")
    if beside and scope.told is not None:
        reading.beside = True
        reading.until = "" if config.as_of else until(scope.told, last)
    if told is not None:
        meant = choose(
            told,
            reading.known,
            {str(root.example_id) for root in linked},
            last,
            lambda when: list(map(example, examples_then(client, str(scope.dataset_id), when))),
        )
        reading, found = Reading.of(meant), _said(meant)
    check_size(len(reading.ids), scope.repetitions)
    return reading, found


def _said(meant: Meant) -> list[Finding]:
    left_out = [findings.examples_not_meant(meant.left_out, meant.why)] if meant.left_out else []
    return left_out + ([findings.examples_unsure(meant.doubt)] if meant.doubt else [])
