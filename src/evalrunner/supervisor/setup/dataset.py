"""Reading the dataset's examples, page by page, into the ledger: they are never all in memory."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from langsmith import Client
from langsmith.utils import LangSmithError, LangSmithNotFoundError

from evalrunner.advice import beside
from evalrunner.config import RunConfig
from evalrunner.errors import UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.orders import UNFIT
from evalrunner.protocol.values import NESTING, UnfitError, check_json
from evalrunner.service.paging import by_offset
from evalrunner.verify.meant import Example, Meant, example, moment

#: Pages to a commit of the ledger.
PAGES = 50
#: What is told of an example that cannot be handed to a worker.
_FACTS = ("id", "dataset_id", "name", "created_at", "modified_at", "source_run_id")


@dataclass
class Reading:
    """What was read.

    Attributes:
        ids: of the examples, in the dataset's order, each once.
        version: of the dataset, where it was asked for, else `modified_at` of the newest, which the SDK takes for it.
        splits: every split that occurs.
        known: what is looked at to tell which of them an experiment was meant to hold, where that has to be told.
        meant: what was told.
        beside: something else had filled the experiment, and whoever asks has said himself which examples he means.
        until: when the examples existed that it was meant to hold all the same, where he means a part of them.
    """

    ids: dict[str, None] = field(default_factory=dict)
    version: str | None = None
    splits: set[str] = field(default_factory=set)
    known: list[Example] = field(default_factory=list)
    meant: Meant | None = None
    beside: bool = False
    until: str = ""

    def note(self, one: Example) -> None:
        """Take an example in."""
        self.ids[one.id] = None
        if one.modified and (self.version is None or one.modified > self.version):
            self.version = one.modified
        self.splits.update(one.splits)

    @classmethod
    def of(cls, meant: Meant) -> Reading:
        """Return what was read of just those that were meant."""
        reading = cls(meant=meant)
        for one in meant.examples:
            reading.note(one)
        return reading


def newest(client: Client, dataset_id: str, as_of: str | None) -> str | None:
    """Return the dataset's newest version, or that of a time or a tag; None where the service has none.

    The newest example does not tell it: as of then, what was deleted or left a split since is there again.
    """
    which = {"as_of": as_of} if as_of is not None and moment(as_of) else {"tag": as_of or "latest"}
    try:
        answer = client.request_with_retries("GET", f"/datasets/{dataset_id}/version", params=which)
        return str(answer.json()["as_of"])
    except (LangSmithError, ValueError, KeyError, TypeError):
        return None  # whoever cannot be reached will not answer the next question either, which says so


def read_examples(
    client: Client,
    ledger: Ledger,
    dataset_id: str,
    *,
    as_of: str | None,
    splits: tuple[str, ...],
    limit: int | None,
    known: bool = False,
) -> Reading:
    """Read the examples that the plan covers.

    Args:
        known: return what tells which of them an experiment was meant to hold, too.
    """
    reading = Reading()
    pages = _pages(client, dataset_id, as_of=as_of, splits=splits, limit=limit)
    while first := next(pages, None):
        # Ids are random: a commit for every page would write nearly every page of their index each time. If the
        # process dies here, the next one reads from the beginning.
        with ledger.transaction():
            for page in itertools.chain([first], itertools.islice(pages, PAGES - 1)):
                _keep(ledger, reading, page, known)
    return reading


def _keep(ledger: Ledger, reading: Reading, page: list[dict[str, Any]], known: bool) -> None:
    fresh = {row["id"]: row for row in page}
    ledger.put_examples((example_id, _body(row)) for example_id, row in fresh.items())
    for row in fresh.values():
        one = example(row)
        if known and one.id not in reading.ids:
            reading.known.append(one)
        reading.note(one)


def nothing(config: RunConfig, dataset: str, *, as_of: str | None, splits: tuple[str, ...]) -> str:
    """Say that there are no examples, and what to do."""
    if not splits and not as_of:
        push = beside(config, f"evalrunner dataset push FILE --name {shlex.quote(dataset)}")
        return f"the dataset {dataset!r} has no examples: push some with `{push}`"
    where = [f"in split {', '.join(splits)}"] if splits else []
    where += [f"as of {as_of}"] if as_of else []
    there = beside(config, "evalrunner dataset list")
    return f"the dataset {dataset!r} has no examples {' '.join(where)}: see what there is with `{there}`"


def _body(row: dict[str, Any]) -> bytes:
    try:
        body = orjson.dumps(row)
        check_json(body, around=1)
    except (TypeError, UnfitError) as error:
        # It costs its own items, by name, and not the dataset.
        return orjson.dumps(
            {**{name: row.get(name) for name in _FACTS}, "inputs": {}, UNFIT: _why(row, error)}
        )
    return body


def _why(row: dict[str, Any], error: Exception) -> str:
    try:
        check_json(json.dumps(row).encode(), around=1)
    except UnfitError as why:
        return str(why)
    except RecursionError:
        return f"nested deeper than {NESTING} levels"
    return "half of a surrogate pair in a text" if "surrogate" in str(error) else str(error)


def _pages(
    client: Client, dataset_id: str, *, as_of: str | None, splits: tuple[str, ...], limit: int | None
) -> Iterator[list[dict[str, Any]]]:
    params: dict[str, Any] = {"dataset": dataset_id, "inline_s3_urls": True}
    if as_of:
        params["as_of"] = as_of
    if splits:
        params["splits"] = list(splits)
    try:
        yield from by_offset(client, "/examples", params, limit=limit)
    except LangSmithNotFoundError:
        if as_of is None:
            raise
        raise UsageError(
            f"--as-of takes an ISO time or a tag of the dataset, and {as_of!r} is neither"
        ) from None
