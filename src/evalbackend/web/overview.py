"""What is said first about an experiment: the verdict, the books, and where the holes are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from evalbackend.store.scope import Scope
from evalbackend.web.digest import Digests

LIVE_S = 60  # a run of an unfinished experiment within so many seconds: it is going on
KINDS = {
    "missing": (
        "For these no run has arrived, or the end of one alone.",
        "{} evaluates just them.",
    ),
    "pending": (
        "A run has begun and has no end: its worker is at it, or died.",
        "If nothing runs any more, {} evaluates them again.",
    ),
    "hidden": (
        "Runs of examples that are not in the experiment's dataset version: LangSmith's table hides them.",
        "They do not count here. A new experiment, over the version that holds them, counts them.",
    ),
    "duplicate": (
        "More ended runs than planned repetitions: those without error count first, then the earliest.",
        "These are left out of all figures here, and nothing needs to be done.",
    ),
    "unlinked": (
        "Runs that belong to no example of this dataset.",
        "Open them: a target that starts traces of its own, or a killed worker's runs, look like this.",
    ),
    "headless": (
        "Of these runs only the end has arrived; their beginning was lost, or is still on its way.",
        "They do not count. Where their items are missing, {} evaluates those.",
    ),
}
"""What a hole of each kind means, and what to do about it; {} is the command that goes on with the experiment."""
OPEN = ("missing", "pending")  # holes of items that are not visible, and of which a run that goes on has many


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts of an experiment's items (example × repetition) and of its holes.

    Attributes:
        unjudged: runs that count on which an evaluator failed.
    """

    examples: int
    planned: int
    arrived: int
    visible: int
    failed: int
    holes: dict[str, int]
    unnamed: int
    live: bool
    unjudged: int = 0

    @property
    def open(self) -> int:
        """Items that are not visible."""
        return self.planned - self.visible

    @property
    def bar(self) -> list[tuple[str, float, float]]:
        """Parts of the whole in per cent, as (what, from, width): good, failed, pending; the rest is missing."""
        parts = (
            ("good", self.visible - self.failed),
            ("failed", self.failed),
            ("pending", self.arrived - self.visible),
        )
        found, at = [], 0.0
        for what, count in parts:
            width = 100 * count / max(self.planned, 1)
            found.append((what, at, width))
            at += width
        return found

    @property
    def strangers(self) -> int:
        """Runs that do not count."""
        return sum(count for kind, count in self.holes.items() if kind not in OPEN)

    @property
    def tone(self) -> str:
        """How it stands, in one word."""
        if self.live and self.open:
            return "live"
        if self.open or not self.planned:
            return "bad"
        return "warn" if self.failed or self.strangers or self.unjudged else "good"

    @property
    def word(self) -> str:
        """How it stands, as a headline."""
        return {"live": "Running", "bad": "Incomplete", "warn": "Complete", "good": "Complete"}[self.tone]

    @property
    def sentence(self) -> str:
        """How it stands, in a sentence."""
        if not self.planned:
            return (
                "The dataset version of this experiment holds no examples, so there is nothing to evaluate."
            )
        if self.open:
            rest = "to come" if self.live else "missing or pending"
            said = f"{self.visible:,} of {self.planned:,} items are visible; {self.open:,} {_are(self.open)} {rest}."
        else:
            said = f"All {self.planned:,} items are visible" + (
                "." if self.unjudged else "; nothing was lost."
            )
        if self.failed:
            said += f" {self.failed:,} failed."
        if self.unjudged:
            said += f" Evaluators failed on {self.unjudged:,} item{'s' if self.unjudged > 1 else ''}."
        if self.strangers:
            said += f" {self.strangers:,} further run{'s do' if self.strangers > 1 else ' does'} not count."
        return said


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def read_overview(digests: Digests, scope: Scope) -> Overview:
    """Sum up an experiment."""
    live = _live(digests, scope)  # asks the clock, so it is never remembered
    return digests.once(("overview", scope.id, live), lambda: _overview(digests, scope, live))


def _overview(digests: Digests, scope: Scope, live: bool) -> Overview:
    examples, counted, pending, missing, failed = digests.rows(
        "SELECT COUNT(*), COALESCE(SUM(counted), 0), COALESCE(SUM(MIN(pending, ?2 - counted)), 0), "
        "COALESCE(SUM(missing), 0), COALESCE(SUM(failed), 0) FROM items WHERE session = ?1",
        scope.id,
        scope.repetitions,
    )[0]
    told = scope.told or examples
    # The experiment says how many examples it is over, and nobody says which have never had a run.
    unnamed = max(told - examples, 0) * scope.repetitions if scope.limit is None else 0
    kinds = dict(digests.rows("SELECT kind, COUNT(*) FROM roots WHERE session = ? GROUP BY 1", scope.id))
    holes = {"missing": missing + unnamed, **{kind: kinds.get(kind, 0) for kind in list(KINDS)[1:]}}
    planned = examples * scope.repetitions + unnamed
    return Overview(
        examples, planned, counted + pending, counted, failed, holes, unnamed, live, _unjudged(digests, scope)
    )


def _unjudged(digests: Digests, scope: Scope) -> int:
    sql = "SELECT COUNT(DISTINCT run_id) FROM judge_errors WHERE session = ? AND pos IS NOT NULL"
    return int(digests.rows(sql, scope.id)[0][0])


def _live(digests: Digests, scope: Scope) -> bool:
    sql = "SELECT MAX(last) FROM items INDEXED BY items_by_time WHERE session = ?"
    last = digests.rows(sql, scope.id)[0][0]
    since = datetime.now(timezone.utc) - timedelta(seconds=LIVE_S)
    return max(last or "", scope.start_time) > since.isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Hole:
    """One row of the holes."""

    kind: str
    example_id: str | None
    run_id: str | None
    count: int
    why: str
    start_time: str | None


_MISSING = (
    "SELECT 'missing', p.example_id, NULL, i.missing, (i.counted + i.pending) || ' of ' || ? || ' runs arrived' "
    "|| CASE WHEN i.ends THEN ', and the end of ' || i.ends ELSE '' END, NULL FROM items i "
    "JOIN plan p USING (session, pos) WHERE i.session = ? AND i.missing > 0 ORDER BY pos LIMIT ? OFFSET ?"
)
_RUNS = (
    "SELECT kind, example_id, id, 1, why, start_time FROM roots WHERE session = ? AND kind = ? "
    "ORDER BY start_time, id LIMIT ? OFFSET ?"
)
_WHY = {"pending": "no end yet", "duplicate": "beyond the planned repetitions"}


def read_holes(digests: Digests, scope: Scope, kind: str, limit: int, offset: int) -> list[Hole]:
    """Return a page of one kind of holes."""
    if kind == "missing":
        rows = digests.rows(_MISSING, scope.repetitions, scope.id, limit, offset)
    else:
        rows = digests.rows(_RUNS, scope.id, kind, limit, offset)
    default = _WHY.get(kind, "")
    return [Hole(one, example, run, count, why or default, at) for one, example, run, count, why, at in rows]


@dataclass(frozen=True, slots=True)
class Group:
    """The holes of one kind: what they are, what to do, and the first of them."""

    kind: str
    count: int
    meaning: str
    remedy: str
    rows: list[Hole]


def group(
    digests: Digests, scope: Scope, overview: Overview, kind: str, limit: int, offset: int = 0
) -> Group:
    """Return a page of the holes of one kind."""
    meaning, remedy = KINDS[kind]
    rows = read_holes(digests, scope, kind, limit, offset)
    return Group(kind, overview.holes[kind], meaning, remedy, rows)


def groups(digests: Digests, scope: Scope, overview: Overview, each: int) -> list[Group]:
    """Return every kind of holes that there is, with its first rows; what is only to come yet is none."""
    kinds = [kind for kind, count in overview.holes.items() if count]
    if overview.tone == "live":
        kinds = [kind for kind in kinds if kind not in OPEN]
    return [group(digests, scope, overview, kind, each) for kind in kinds]
