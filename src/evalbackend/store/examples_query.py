"""Which examples are asked for, as they are or as they were, and which of their runs; in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evalbackend.errors import HttpError
from evalbackend.filtering.language import Grammar, parse
from evalbackend.filtering.runs import of_run
from evalbackend.store.functions import marks
from evalbackend.store.versions import LATEST, is_time
from evalbackend.wire.values import time_text, uuid_text

_TAGGED = "SELECT as_of FROM dataset_tags t WHERE t.dataset_id = example_versions.dataset_id"
#: What is shown where no field is named.
DEFAULT_FIELDS = frozenset(
    {"dataset_id", "created_at", "modified_at", "inputs", "outputs", "metadata", "name", "source_run_id"}
)


def _coerce(name: str, value: Any) -> Any:
    if value is not None and name in ("created_at", "modified_at"):
        return time_text(value, name)
    return uuid_text(value, name) if value is not None and name.endswith("id") else value


GRAMMAR = Grammar(
    {
        "id": "example_id",
        "created_at": "created_at",
        "modified_at": "valid_from",
        "source_run_id": "source_run_id",
    },
    {"metadata": "metadata", "inputs": "CAST(inputs AS TEXT)", "outputs": "CAST(outputs AS TEXT)"},
    {},
    _coerce,
)


@dataclass(slots=True)
class ExampleQuery:
    """A condition over example versions, a page, and the fields to show."""

    where: list[str] = field(default_factory=list)
    args: list[Any] = field(default_factory=list)
    limit: int = 100
    offset: int = 0
    fields: frozenset[str] = DEFAULT_FIELDS
    datasets: list[str] = field(default_factory=list)
    tag: str | None = None

    def add(self, condition: str, *args: Any) -> None:
        """Narrow the query."""
        self.where.append(condition)
        self.args += args

    def among(self, datasets: list[str], ids: list[str]) -> None:
        """Narrow to some datasets and some examples; 400 if neither is said."""
        self.datasets = datasets
        for column, values in (("dataset_id", datasets), ("example_id", ids)):
            if values:
                self.add(f"{column} IN ({marks(values)})", *values)
        if not self.where:
            raise HttpError(400, "either dataset or id must be given")

    def as_of(self, when: str | None) -> None:
        """Narrow to what held at a time, or at the version with a tag; None or "latest" is the present."""
        if when is None or when == LATEST:
            self.add("valid_to IS NULL")
            return
        stamp, value = "?", when
        if is_time(when):
            value = time_text(when, "as_of")
        else:
            self.tag, stamp = when, f"({_TAGGED} AND tag = ?)"
        self.add(f"valid_from <= {stamp} AND (valid_to IS NULL OR valid_to > {stamp})", value, value)

    def splits(self, names: list[str]) -> None:
        """Narrow to examples that are in one of these splits; no names, no narrowing."""
        if names:
            some = marks(names)
            each = "json_each(example_versions.metadata, '$.dataset_split')"
            self.add(f"EXISTS (SELECT 1 FROM {each} WHERE value IN ({some}))", *names)  # noqa: S608

    def filter(self, text: str | None) -> None:
        """Narrow by the filter language."""
        if text:
            condition, args = GRAMMAR.sql(parse(text))
            self.add(condition, *args)

    def select(self, names: list[str], exclude_default: bool) -> None:
        """Choose the fields to show; where none is named, there is nothing to leave the others out for."""
        self.fields = frozenset(names) if exclude_default and names else DEFAULT_FIELDS | frozenset(names)


@dataclass(frozen=True, slots=True)
class ExampleRuns:
    """Which examples of a dataset, with which of their runs.

    `filters`: experiment -> what an example's run in it must be like for the example to be shown.
    """

    dataset_id: str
    sessions: list[str]
    filters: dict[str, list[str]]
    comparison: str | None
    limit: int
    offset: int
    preview: bool


def has_runs(
    examples: str, sessions: list[str], filters: dict[str, list[str]], *, subtrees: bool = True
) -> tuple[list[str], list[Any]]:
    """Return the conditions, with arguments, that an example has root runs in the sessions, as filtered."""
    conditions: list[str] = []
    args: list[Any] = []
    for session in filters or {"": []}:
        some = [session] if session else sessions
        condition = f"session_id IN ({marks(some)}) AND parent_run_id IS NULL AND post_n > 0"
        args += some
        for one in filters.get(session, []):
            more, values = of_run(one, subtrees=subtrees)
            condition += f" AND {more}"
            args += values
        example = f"reference_example_id = {examples}.example_id"
        conditions.append(f"EXISTS (SELECT 1 FROM runs WHERE {example} AND {condition})")  # noqa: S608  our words and ? only
    return conditions, args
