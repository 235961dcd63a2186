"""What a run is refused for before anything is executed, and what one that broke in the middle says."""

from __future__ import annotations

import errno
import json

from requests import RequestException

from evalrunner.advice import go_on
from evalrunner.config import RunConfig
from evalrunner.errors import RunFolderError, UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.values import check_json
from evalrunner.service.errors import cause
from evalrunner.shortage import Shortage, shortage
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.scope import Scope

#: Every item has a row in the ledger and a place in memory.
MOST_ITEMS = 5_000_000


def check_config(config: RunConfig) -> None:
    """Refuse a configuration that nothing could be done with.

    Raises:
        UsageError: it has no worker, no target, or metadata that no service takes.
    """
    if config.workers < 1:
        raise UsageError(f"--workers is {config.workers}: at least one worker is needed")
    if config.spec.target is None and config.spec.pickled is None:
        raise UsageError("no target is given: name one with --target module:name or path/file.py:name")
    try:
        check_json(json.dumps(dict(config.metadata)).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"--metadata cannot be written as JSON: {error}") from None


def check_owner(ledger: Ledger, folder: RunFolder, scope: Scope) -> None:
    """Refuse a folder that holds another experiment: its spools may hold what was never delivered.

    Raises:
        RunFolderError: it does.
    """
    owner = ledger.get_meta("experiment_id")
    if owner not in (None, str(scope.experiment_id)):
        raise RunFolderError(
            f"the run folder {folder.path} belongs to experiment {owner}; name another one with --run-dir"
        )


def check_size(examples: int, repetitions: int) -> None:
    """Refuse more items than a run can hold.

    Raises:
        UsageError: there are more.
    """
    if examples * repetitions > MOST_ITEMS:
        raise UsageError(
            f"{examples} examples with {repetitions} repetitions are {examples * repetitions} items, and a run "
            f"takes {MOST_ITEMS} at most: lower --repetitions or --limit"
        )


def broken(error: Exception, folder: RunFolder, scope: Scope, config: RunConfig) -> str:
    """Say why a run ended in the middle, and how it goes on. (Every error of `requests` is an OSError too.)"""
    if isinstance(error, (RequestException, ConnectionError, TimeoutError)) and error.errno != errno.EPIPE:
        found = Shortage(f"LangSmith cannot be reached ({cause(error)})", "try again later")
    else:
        found = shortage(error, folder.path)
    return (
        f"the run had to end: {found.cause}; what was produced is in {folder.path}: {found.remedy}, then go on "
        f"with: {go_on(config, scope.name, made=scope.session is not None)}"
    )
