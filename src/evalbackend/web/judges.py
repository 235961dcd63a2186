"""Evaluators that failed on an experiment's runs: how many, what they raised, and on which run to look."""

from __future__ import annotations

from dataclasses import dataclass

from evalbackend.store.scope import Scope
from evalbackend.web.digest import Digests

SHOWN = 20
_ERRORS = (
    "SELECT key, text, COUNT(DISTINCT run_id), MIN(run_id) FROM judge_errors WHERE session = ? AND pos IS NOT NULL "
    "GROUP BY key, text ORDER BY 3 DESC, 1, 2 LIMIT ?"
)


@dataclass(frozen=True, slots=True)
class JudgeError:
    """One error of one evaluator: on how many runs that count, and one of them."""

    who: str
    text: str
    count: int
    run_id: str


def judge_errors(digests: Digests, scope: Scope) -> list[JudgeError]:
    """Return the most frequent errors of evaluators."""
    rows = digests.rows(_ERRORS, scope.id, SHOWN)
    return [JudgeError(_who(scope, key), text, count, run) for key, text, count, run in rows]


def _who(scope: Scope, key: str) -> str:
    """Return which evaluator an error is of: the SDK files it under a key that the evaluator may give."""
    found = scope.metadata.get("evalrunner")
    facts = found if isinstance(found, dict) else {}
    tables = [table for name in ("guessed", "evaluators") if isinstance(table := facts.get(name), dict)]
    names = [who for table in tables for who, keys in table.items() if isinstance(keys, list) and key in keys]
    if names:
        return str(names[0])
    # Where our own run has said who gave which key, a key of nobody's was a guess, and says nothing.
    known = {str(who) for table in tables for who in table}
    return key if not scope.named or key in known else ", ".join(sorted(known)) or key
