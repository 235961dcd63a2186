"""One sentence and one number for a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evalrunner.advice import anew, go_on
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

    The first that applies is the exit code: stopped, not complete, items failed, evaluators failed.
    """
    states = Counter(item.state for item in items)
    total = len(items)

    def again(*more: str) -> str:
        return go_on(ending.config, ending.experiment, *more, made=ending.made)

    if ending.plan_only:
        none = states["not run"] + states["not scored"] == 0
        return Verdict(none, ExitCode.COMPLETE, _plan_sentence(states, total), None)
    if ending.gone:
        return _of_nothing(ending)
    also = _evaluators_sentence(errors)
    open_ = sum(states[name] for name in _OPEN)
    outside = loose_sentence(loose)
    if open_ or outside:
        stopped = ending.stopped and open_ > 0
        tell = _open_sentence if open_ else _outside_sentence
        code = ExitCode.INTERRUPTED if stopped else ExitCode.INCOMPLETE
        return Verdict(False, code, tell(states, total, outside, stopped) + also, again())
    if states["failed"]:
        sentence = f"All {total} items are delivered and visible; {states['failed']} of them failed."
        return Verdict(True, ExitCode.FAILED, sentence + also, again("--retry-errors"))
    if also:
        code = ExitCode.COMPLETE if ending.config.evaluator_errors == "warn" else ExitCode.EVALUATORS
        return Verdict(True, code, f"All {total} items are visible.{also}", again())
    idle = f"Nothing is missing: all {total} items are visible; 0 executed."
    done = f"All {total} items are visible; nothing was lost."
    return Verdict(True, ExitCode.COMPLETE, done if states["visible"] else idle, None)


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
    return f"{why}: {done} of {total} items are visible; {', '.join(parts)}. {rest}"
