"""What a receipt has to say beyond its verdict: every item that is not well, by id, and what went on around it.

Each list is capped; what is left out is counted, and receipt.json has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from evalrunner.exit_codes import ExitCode
from evalrunner.report.lines import Line, block, clean, count
from evalrunner.report.loose import loose_lines
from evalrunner.report.planned import only_planned
from evalrunner.report.receipt import EvaluatorErrors, ItemEntry, Receipt, WorkerEntry

#: How many items (errors, workers, warnings) are named before "see receipt.json".
CAP = 20
#: Deaths up to this number are told one by one.
FEW = 6
#: States that need nobody's attention.
GOOD = frozenset({"visible", "already complete"})
STATES = ("visible", "already complete", "failed", "not visible", "not delivered", "not run", "not scored")
#: Runs that stand beside the one that counts, and what to say of them.
BESIDE = {
    "duplicate": "the experiment has {} too many for items that have one already",
    "superseded": "the experiment has {} of earlier attempts beside the ones that count",
}
_QUIET_ENDS = frozenset(
    {"exited with status 0", "still running", "was still running", "was not needed any more"}
)


def troubles(receipt: Receipt, width: int) -> list[Iterator[Line]]:
    """Return one section per kind of trouble; most are empty most of the time."""
    if only_planned(receipt.plan):
        return [_warnings(receipt, width)]
    return [
        _open_items(receipt, width),
        _errors(receipt, width),
        _evaluator_errors(receipt, width),
        loose_lines(receipt.loose, width),
        _odd_runs(receipt, width),
        _deaths(receipt, width),
        _warnings(receipt, width),
    ]


def is_plan(receipt: Receipt) -> bool:
    """Tell whether nothing was to be executed: only then is an incomplete experiment no failure."""
    return not receipt.complete and receipt.exit_code == ExitCode.COMPLETE


def _open_items(receipt: Receipt, width: int) -> Iterator[Line]:
    listed = sorted(
        (entry for entry in receipt.items if entry.state not in GOOD and not entry.error), key=_place
    )
    repeated = any(entry.repetition for entry in receipt.items)
    none = "without a complete run" if is_plan(receipt) else "no reason recorded"
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in listed[:CAP]:
        groups[f"{clean(entry.state)}: {clean(entry.reason or none)}"].append(_item(entry, repeated))
    for head, items in groups.items():
        yield from block(head, width, indent=2, style="" if is_plan(receipt) else "red")
        yield from ([(f"    {item}", "")] for item in items)
    yield from _more(len(listed), "item")


def _place(entry: ItemEntry) -> int:
    return STATES.index(entry.state) if entry.state in STATES else len(STATES)


def _item(entry: ItemEntry, repeated: bool) -> str:
    return clean(entry.example_id) + (f"  repetition {entry.repetition}" if repeated else "")


def _more(total: int, noun: str) -> Iterator[Line]:
    if total > CAP:
        yield [(f"  and {count(total - CAP, f'more {noun}')}: see receipt.json", "")]


def _errors(receipt: Receipt, width: int) -> Iterator[Line]:
    groups: dict[str, list[str]] = defaultdict(list)
    repeated = any(entry.repetition for entry in receipt.items)
    for entry in receipt.items:
        if entry.error:
            state = "" if entry.state in (*GOOD, "failed") else f", {clean(entry.state)}"
            groups[clean(entry.error)].append(_item(entry, repeated) + state)
    total = sum(map(len, groups.values()))
    if groups:
        yield [(f"  {count(total, 'item')} ended in an error:", "yellow")]
    each = CAP if total <= CAP else 3
    for error, items in sorted(groups.items(), key=lambda pair: -len(pair[1]))[:CAP]:
        yield from block(f"{len(items)} x {error}", width, indent=4)
        more = f"and {len(items) - each} more: see receipt.json" if len(items) > each else ""
        yield from ([(f"        {one}", "dim")] for one in (*items[:each], more) if one)
    yield from _more(len(groups), "error")


def _evaluator_errors(receipt: Receipt, width: int) -> Iterator[Line]:
    groups: dict[str, list[EvaluatorErrors]] = defaultdict(list)
    for one in receipt.evaluator_errors:
        groups[("summary evaluator " if one.summary else "evaluator ") + clean(one.evaluator)].append(one)
    few = sum(len(one.items) for one in receipt.evaluator_errors) <= CAP
    for name, errors in list(groups.items())[:CAP]:
        where = count(sum(len(one.items) for one in errors), "item")
        on = "" if errors[0].summary else f" on {where}"
        yield [(f"  {name} failed{on}:", "yellow")]
        for one in errors[:CAP]:
            yield from block(f"{max(1, len(one.items))} x {clean(one.error, limit=2000)}", width, indent=4)
            shown = one.items if few else one.items[:3]
            more = f"and {len(one.items) - len(shown)} more: see receipt.json" if shown != one.items else ""
            yield from ([(f"        {clean(each)}", "dim")] for each in (*shown, more) if each)
        yield from _more(len(errors), "error")
    yield from _more(len(groups), "evaluator")


def _odd_runs(receipt: Receipt, width: int) -> Iterator[Line]:
    yield from _named(receipt.strangers, "the experiment has {} that nobody planned", width)
    for state, sentence in BESIDE.items():
        ids = [entry.run_id or entry.example_id for entry in receipt.duplicates if entry.state == state]
        yield from _named(ids, sentence, width)


def _named(ids: list[str], sentence: str, width: int) -> Iterator[Line]:
    if ids:
        yield from block(sentence.format(count(len(ids), "run")), width, indent=2, style="yellow")
    yield from ([(f"    {clean(one)}", "")] for one in ids[:CAP])
    yield from _more(len(ids), "run")


def _deaths(receipt: Receipt, width: int) -> Iterator[Line]:
    dead = [worker for worker in receipt.workers if worker.ended not in _QUIET_ENDS]
    if dead:
        yield [(f"  {count(len(dead), 'worker')} died, {receipt.restarts} replaced", "yellow")]
    elif receipt.restarts:
        yield [(f"  {count(receipt.restarts, 'worker')} replaced", "yellow")]
    if len(dead) <= FEW:
        ends = [f"worker {one.slot} (pid {one.pid}): {clean(one.ended)}, {_after([one])}" for one in dead]
    else:
        groups: dict[str, list[WorkerEntry]] = defaultdict(list)
        for worker in dead:
            groups[clean(worker.ended).removeprefix("was ")].append(worker)
        ends = [f"{len(those)} x {end}, {_after(those)} in all" for end, those in groups.items()]
    for end in ends[:CAP]:
        yield from block(end, width, indent=4)
    yield from _more(len(ends), "end")


def _after(workers: list[WorkerEntry]) -> str:
    return f"after {count(sum(worker.items for worker in workers), 'item')}"


def _warnings(receipt: Receipt, width: int) -> Iterator[Line]:
    for warning in receipt.warnings[:CAP]:
        yield from block(f"warning: {clean(warning)}", width, indent=2, style="yellow")
    yield from _more(len(receipt.warnings), "warning")
