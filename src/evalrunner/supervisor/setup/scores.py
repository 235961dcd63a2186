"""The scores that runs lack, and the records of errors that have become untrue.

What an evaluator did on a run stands in three places, and the first that says something is believed: the ledger of
this folder; the root run's own metadata, which every folder can read; the feedback itself, whose ids bear the
evaluator's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from langsmith import Client
from langsmith.utils import LangSmithNotFoundError

from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.rows import ItemRow
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify.apart import read_scores
from evalrunner.verify.intent import FACTS
from evalrunner.verify.lacking import Scoring, scoring
from evalrunner.verify.readback import ReadBack, RootRun, Score

Turns = Mapping[str, Evaluated]
"""Evaluator's name -> what became of it on one run."""


@dataclass
class Lacking:
    """What runs lack of the evaluators that are wanted; each by the run's id.

    Attributes:
        scoring: what is to be done for those that lack scores.
        unreadable: what the service does, where it fails at their feedback, so that it cannot be known.
        told: what runs of which this folder knew nothing say of the evaluators that ran on them.
    """

    scoring: dict[str, Scoring] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    told: dict[str, list[Evaluated]] = field(default_factory=dict)


def find_lacking(
    scope: Scope, runs: Iterable[RootRun], ledger: Ledger, readback: ReadBack, evaluators: Iterable[str]
) -> Lacking:
    """Return what these runs lack of these evaluators."""
    started = {run.id: run.started for run in runs}
    ids = list(started)
    if not ids or not (names := _known_keys(scope, ledger, evaluators)):
        return Lacking()
    ours = {row.run_id: _turns(row.evaluated) for row in ledger.items() if row.run_id and row.evaluated}
    there: dict[str, list[Score]] = {}
    scores, unreadable = read_scores(readback, ids)
    for score in scores:
        there.setdefault(score.run_id or "", []).append(score)
    found: dict[str, Scoring] = {}
    unsure: list[str] = []
    for run_id in (one for one in ids if one not in unreadable):
        given, known = there.get(run_id, ()), ours.get(run_id, {})
        todo = scoring(run_id, given, names, known)
        if todo is not None:
            found[run_id] = todo
        if _unsure(given, names, known):
            unsure.append(run_id)
    # Only these are asked what they say of themselves: metadata is ten times the size of the rest.
    said = readback.evaluated(unsure)
    told: dict[str, list[Evaluated]] = {}
    for run_id in unsure:
        given = there.get(run_id, ())
        turns = {**_had(scope, started[run_id], given), **_turns(said.get(run_id, ()))}
        turns |= ours.get(run_id, {})
        told[run_id] = list(turns.values())
        again = scoring(run_id, given, names, turns)
        found.pop(run_id, None)
        if again is not None:
            found[run_id] = again
    return Lacking(found, unreadable, told)


def _had(scope: Scope, started: str, scores: Iterable[Score]) -> Turns:
    """Return the evaluators of which the experiment says that they have run on everything that began so early.

    Where they left no score they had nothing to say. On a run that has a record of an error, nothing is believed.
    """
    if not started or any(score.failed for score in scores):
        return {}
    until = _object(_object(scope.metadata.get(FACTS)).get("ran"))
    return {name: Evaluated(name) for name, when in until.items() if _before(started, str(when))}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _before(one: str, other: str) -> bool:
    try:
        return _time(one) < _time(other)
    except ValueError:
        return False


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _unsure(scores: Iterable[Score], names: Mapping[str, Collection[str]], known: Turns) -> bool:
    """Whether a key is not there of an evaluator of which this folder does not know what it gave the run."""
    keys = {score.key for score in scores if not score.failed}
    return any(not keys.issuperset(names[name] or [name]) for name in names if name not in known)


def _turns(evaluated: Iterable[Evaluated]) -> Turns:
    return {each.name: each for each in evaluated}


def _known_keys(scope: Scope, ledger: Ledger, evaluators: Iterable[str]) -> dict[str, Collection[str]]:
    """Return the evaluators, each with the keys that it is known (or, before its first score, guessed) to give."""
    facts = scope.metadata.get(FACTS)
    real, guessed = (_object(_object(facts).get(which)) for which in ("evaluators", "guessed"))
    names: dict[str, Collection[str]] = {
        name: _texts(real.get(name)) or _texts(guessed.get(name)) for name in evaluators
    }
    given = given_keys(ledger)
    return {name: given.get(name) or keys for name, keys in names.items()}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def given_keys(ledger: Ledger) -> dict[str, list[str]]:
    """Return the feedback keys that each evaluator has given, as far as this folder knows."""
    given: dict[str, set[str]] = {}
    for row in ledger.items():
        for each in row.evaluated:
            given.setdefault(each.name, set()).update(each.keys)
    return {name: sorted(keys) for name, keys in given.items()}


def untrue(rows: Iterable[ItemRow], todo: Mapping[tuple[str, int], Scoring]) -> list[str]:
    """Return the feedback that records errors of evaluators that have had another turn since.

    The new turn's own record (a score, or an error again) is visible by now: a death before this costs nothing,
    because the next run of the command finds the same.
    """
    found: list[str] = []
    for row in rows:
        key = (row.example_id, row.repetition)
        if key in todo and (fresh := _fresh(row, todo[key])) is not None:
            stale = [each for name, ids in todo[key].stale.items() if name in fresh for each in ids]
            found.extend(each for each in stale if each not in row.feedback)
    return found


def _fresh(row: ItemRow, todo: Scoring) -> set[str]:
    """Return the evaluators whose present record on a run is not the error that was found there."""
    had = {each.name for each in row.evaluated}
    lacking = set(todo.evaluators)
    return (set(todo.stale) - lacking) | (had & lacking)


def remove(client: Client, feedback: Sequence[str]) -> int:
    """Delete feedback; return how much of it is still there."""
    if not feedback:
        return 0
    with ThreadPoolExecutor(min(8, len(feedback)), thread_name_prefix="remove") as pool:
        return sum(not gone for gone in pool.map(lambda one: _remove(client, one), feedback))


def _remove(client: Client, feedback: str) -> bool:
    try:
        client.delete_feedback(feedback)
    except LangSmithNotFoundError:
        return True
    except Exception:
        return False
    return True
