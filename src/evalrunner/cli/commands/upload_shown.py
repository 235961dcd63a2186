"""What `evalrunner upload` prints in the end."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from evalrunner.cli.output import Output, shown
from evalrunner.transfer.upload.summary import sized

if TYPE_CHECKING:
    from evalrunner.transfer.replay.summary import Replayed
    from evalrunner.transfer.upload.summary import Hole, Uploaded

#: Traces that are named one by one, of each kind.
_NAMED = 10


def show(uploaded: Uploaded, output: Output) -> None:
    """Print what an upload came to."""
    if output.json:
        output.document(uploaded.to_dict())
    for text in uploaded.warnings:
        output.note(f"warning: {text}")
    for text in uploaded.estimate:
        output.note(f"note: {text}")
    kinds = (
        ("broken", uploaded.broken),
        ("not delivered", uploaded.not_delivered),
        ("not visible", uploaded.not_visible),
        ("different", uploaded.different),
    )
    for what, holes in kinds:
        _name(what, holes, output)
    if uploaded.failed:
        output.detail(f"traces that are not there, with reasons: {shown(Path(uploaded.failed))}")
    total = uploaded.total
    output.detail(f"input: {total['traces']:,} sound traces, {total['runs']:,} runs, {sized(total['bytes'])}")
    output.detail(f"times move: {uploaded.shift}")
    if not uploaded.dry_run:
        sent = uploaded.sent or {"traces": 0, "runs": 0, "feedback": 0}
        output.detail(
            f"sent now: {sent['traces']:,} traces ({sent['runs']:,} runs, {sent['feedback']:,} scores); "
            f"there already: {uploaded.already:,}"
        )
    output.line(_verdict(uploaded))


def _name(what: str, holes: list[Hole], output: Output) -> None:
    for hole in holes[:_NAMED]:
        line = hole.where["line"]
        where = (
            f"{hole.where['file']}:{line}" if line else f"{hole.where['file']}, byte {hole.where['offset']:,}"
        )
        output.detail(f"{what}: trace {hole.trace_id} ({where}): {hole.reason}")
    if len(holes) > _NAMED:
        output.detail(f"... and {len(holes) - _NAMED:,} more: --json has all of them")


def _verdict(uploaded: Uploaded) -> str:
    name, traces = repr(uploaded.project["name"]), uploaded.total["traces"]
    if uploaded.dry_run:
        made = "exists" if uploaded.project["id"] else "would be made"
        broken = f", {len(uploaded.broken):,} are broken" if uploaded.broken else ""
        return (
            f"dry run: {traces:,} traces would go to {name} at {uploaded.destination}, which {made}{broken}"
        )
    where = f"project {name} ({uploaded.project['id'] or 'not made'}) at {uploaded.destination}"
    holes = len(uploaded.not_delivered) + len(uploaded.not_visible) + len(uploaded.different)
    if holes:
        if holes == len(uploaded.different):
            # What is there is not written over: once more would find the same.
            return f"{where}: {holes:,} of {traces:,} traces are there otherwise, and stay so; upload them elsewhere"
        return f"{where}: {holes:,} of {traces:,} traces are not there as sent; run it again"
    left = f"; {len(uploaded.broken):,} broken ones are left out" if uploaded.broken else ""
    if uploaded.verify == "none":
        return f"{where}: {traces:,} traces accepted, none read back{left}"
    how = "read back by id" if uploaded.verify == "ids" else "read back and compared"
    return f"{where}: all {traces:,} traces {how}{left}"


def show_replayed(done: Replayed, output: Output) -> None:
    """Print what a replay came to."""
    if output.json:
        output.document({**asdict(done), "complete": done.complete})
    left = len(done.kept) + len(done.unread)
    for what, files in (("not taken", done.kept), ("no envelope", done.unread)):
        for one in files[:_NAMED]:
            output.detail(f"{what}: {one['file']}: {one['reason']}")
        if len(files) > _NAMED:
            output.detail(f"... and {len(files) - _NAMED:,} more: --json has all of them")
    if not done.envelopes and not left:
        output.line(f"{done.folder}: there are no envelopes in it")
        return
    held = ", ".join(f"{count:,} {kind}" for kind, count in done.operations.items() if count) or "nothing"
    output.detail(f"in those that were taken: {held}")
    rest = f"; {left:,} file(s) stay where they are" if left else ""
    output.line(
        f"{done.folder}: {done.done:,} of {done.envelopes:,} envelopes taken by {done.destination}, verbatim{rest}"
    )
