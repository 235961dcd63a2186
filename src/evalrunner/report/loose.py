"""What belongs to no item, as the receipt tells it: counts, and everything that has not arrived, by id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from evalrunner.protocol.loose import LooseState
from evalrunner.protocol.rows import LooseRow
from evalrunner.report.lines import Line, block, clean
from evalrunner.report.receipt import LooseBooks, LooseEntry

S = LooseState
_STATES = {S.PROMISED: "not delivered", S.REFUSED: "refused", S.NOT_VISIBLE: "not visible"}
_ACCEPTED = frozenset({S.ACCEPTED, S.VISIBLE, S.NOT_VISIBLE})
#: How many are named before "see receipt.json".
CAP = 20


def loose_books(rows: Iterable[LooseRow], session: int) -> LooseBooks:
    """Sum up the ledger's book.

    What was sent without a spool is a finding of the run in which it happened: nobody can send it again.
    """
    rows = [row for row in rows if row.seq > 0 or row.session == session]
    return LooseBooks(
        promised=sum(len(row.about) for row in rows),
        accepted=sum(len(row.about) for row in rows if row.state in _ACCEPTED),
        visible=sum(len(row.about) for row in rows if row.state is S.VISIBLE),
        missing=[entry for row in rows if row.state in _STATES for entry in _entries(row)],
    )


def _entries(row: LooseRow) -> Iterator[LooseEntry]:
    reason = row.reason or "not sent before the run ended"
    for about in row.about:
        # A record is refused whole, and its reason may name the operation that it was refused for.
        yield LooseEntry(about.kind, about.id, about.name, about.project, _STATES[row.state], reason)


def loose_sentence(books: LooseBooks) -> str:
    """Say for the verdict what has not arrived, or nothing."""
    states = Counter(entry.state for entry in books.missing)
    if not states:
        return ""
    told = ", ".join(f"{number} {state}" for state, number in states.items())
    noun = "trace or score" if books.promised == 1 else "traces or scores"
    return f"of {books.promised} {noun} outside the items {told}"


def loose_lines(books: LooseBooks, width: int) -> Iterator[Line]:
    """Yield what has not arrived, by name, and why."""
    if not books.missing:
        return
    told = f"outside the items: {books.promised} promised, {books.accepted} accepted, {books.visible} visible"
    yield from block(told, width, indent=2, style="red")
    for entry in books.missing[:CAP]:
        where = f" (project {clean(entry.project)})" if entry.project else ""
        what = f"{entry.kind} {clean(entry.id)} {clean(entry.name)}{where}"
        yield from block(f"{entry.state}: {what}: {clean(entry.reason)}", width, indent=4)
    if len(books.missing) > CAP:
        yield [(f"    and {len(books.missing) - CAP} more: see receipt.json", "")]
