"""One sentence and one number for a whole run."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evalrunner.advice import anew, beside, go_on
from evalrunner.exit_codes import ExitCode
from evalrunner.report.loose import loose_sentence
from evalrunner.report.receipt import EvaluatorErrors, ItemEntry, LooseBooks
from evalrunner.verify.facts import Ending

_OPEN = ("not run", "not scored", "not delivered", "not visible")
#: Evaluators that the sentence names.
_NAMED = 5


@dataclass(frozen=True)
class Verdict:
    """What the receipt says first."""

    complete: bool
    exit_code: ExitCode
    sentence: str
    command: str | None


def judge(
    items: list[ItemEntry],
    errors: Sequence[EvaluatorErrors],
    ending: Ending,
    *,
    loose: LooseBooks = LooseBooks(),  # noqa: B008 - it is frozen
) -> Verdict:
    """Judge a run by the states of its items, then by its evaluators.

    The first that applies is the exit code: taken over, stopped, not complete, items failed, evaluators failed.
    """
    states = Counter(item.state for item in items)
    also = _evaluators_sentence(errors)
    return _unfinished(states, ending, loose, also) or _finished(states, ending, also)


def _unfinished(states: Counter[str], ending: Ending, loose: LooseBooks, also: str) -> Verdict | None:
    total, open_, outside = states.total(), sum(states[name] for name in _OPEN), loose_sentence(loose)
    if ending.plan_only:
        none = states["not run"] + states["not scored"] == 0
        return Verdict(none, ExitCode.COMPLETE, _plan_sentence(states, total), None)
    if ending.gone:
        return _of_nothing(ending)
    if ending.taken:
        told = _open_sentence(states, total, outside, True)
        return Verdict(False, ExitCode.BUSY, f"{told} Another evalrunner goes on ({ending.taken}).", None)
    if open_ or outside:
        stopped = ending.stopped and open_ > 0
        tell = _open_sentence if open_ else _outside_sentence
        code = ExitCode.INTERRUPTED if stopped else ExitCode.INCOMPLETE
        return Verdict(False, code, tell(states, total, outside, stopped) + also, _again(ending))
    if ending.more:
        told = _more_sentence(states, total, ending.more)
        return Verdict(False, ExitCode.INCOMPLETE, told + also, _mend(ending))
    return None


def _finished(states: Counter[str], ending: Ending, also: str) -> Verdict:
    total = states.total()
    if states["failed"]:
        sentence = f"All {total} items are delivered and visible; {states['failed']} of them failed."
        return Verdict(True, ExitCode.FAILED, sentence + also, _again(ending, "--retry-errors"))
    if also:
        code = ExitCode.COMPLETE if ending.config.evaluator_errors == "warn" else ExitCode.EVALUATORS
        return Verdict(True, code, f"All {total} items are visible.{also}", _again(ending))
    idle = f"Nothing is missing: all {total} items are visible; 0 executed."
    done = f"All {total} items are visible; nothing was lost."
    return Verdict(True, ExitCode.COMPLETE, done if states["visible"] else idle, None)


def _again(ending: Ending, *more: str) -> str:
    return go_on(ending.config, ending.experiment, *more, made=ending.made)


def _of_nothing(ending: Ending) -> Verdict:
    told = f"Not complete: {ending.gone}."
    if ending.gone.startswith("the dataset"):  # and with it the experiment: nothing is left to evaluate
        return Verdict(False, ExitCode.INCOMPLETE, told, None)
    command = anew(ending.config, ending.dataset)
    return Verdict(False, ExitCode.INCOMPLETE, f"{told} Its items can be evaluated into a new one.", command)


def _evaluators_sentence(errors: Sequence[EvaluatorErrors]) -> str:
    """Say which evaluators failed, and on how much, or nothing."""
    counts: Counter[str] = Counter()
    for error in errors:
        counts[error.evaluator] += len(error.items)
    summary = {error.evaluator for error in errors if error.summary}
    told = [
        f"{name} on the whole experiment" if name in summary else f"{name} on {count} item{'s' * (count > 1)}"
        for name, count in counts.most_common()
    ]
    more = f", and {len(told) - _NAMED} more" if len(told) > _NAMED else ""
    return f" Evaluators failed: {', '.join(told[:_NAMED])}{more}." if told else ""


def _outside_sentence(states: Counter[str], total: int, outside: str, _: bool) -> str:
    failed = f"; {states['failed']} of them failed" if states["failed"] else ""
    return f"Not complete: all {total} items are visible{failed}, but {outside}."


def _mend(ending: Ending) -> str:
    return (
        f"{beside(ending.config, f'evalrunner repair {shlex.quote(ending.experiment)}')} --delete-duplicates"
    )


def _more_sentence(states: Counter[str], total: int, more: int) -> str:
    failed = f" ({states['failed']} of them failed)" if states["failed"] else ""
    runs = (
        "1 complete run more than planned stands"
        if more == 1
        else f"{more} complete runs more than planned stand"
    )
    return f"Not as planned: all {total} items are visible{failed}, but {runs} beside them, and averages count those."


def _plan_sentence(states: Counter[str], total: int) -> str:
    run, score = states["not run"], states["not scored"]
    if run + score == 0:
        return f"Nothing is missing: all {total} items have a complete run."
    told = f"{run} of {total} items would be executed"
    if score:
        told += f", and {score} scored only (their runs are there and lack scores)"
    return f"{told}; nothing has been."


def _open_sentence(states: Counter[str], total: int, outside: str, stopped: bool) -> str:
    parts = [f"{states[name]} {name}" for name in _OPEN if states[name]]
    done = total - sum(states[name] for name in _OPEN)
    why = "Stopped" if stopped else "Not complete"
    rest = f"And {outside}." if outside else "Nothing that was produced is lost."
    told = "; ".join(filter(None, (f"{done} of {total} items are visible", ", ".join(parts))))
    return f"{why}: {told}. {rest}"
