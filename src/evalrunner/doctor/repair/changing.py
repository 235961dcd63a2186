"""Steps that change what is there: the experiment's metadata, runs without an end, links, runs too many."""

from __future__ import annotations

from collections.abc import Iterable

from evalrunner.doctor.asking import whole
from evalrunner.doctor.case import Case
from evalrunner.doctor.codes import Code
from evalrunner.doctor.examine import Examined
from evalrunner.doctor.repair import writing
from evalrunner.doctor.repair.step import Kind, Step, Wishes, ids
from evalrunner.doctor.symptoms import complete
from evalrunner.service.errors import told
from evalrunner.verify.meant import moment

_NEVER = "it never ended (closed by evalrunner repair)"


def metadata(now: Examined, _: Wishes) -> Step | None:
    """Have the view show all runs again: the metadata name the newest version, and every split."""
    hidden = ids(now, Code.VIEW_HIDDEN)
    if not hidden:
        return None
    examples = now.seen.meant.examples
    # All of them are the service's own texts, in one form.
    version = max((one.modified for one in examples if moment(one.modified)), default=None)
    splits = sorted({*now.seen.splits, *(split for one in examples for split in one.splits)})

    def do() -> str:
        place = now.place
        wanted = {**place.metadata, "dataset_version": version, "dataset_splits": splits}
        with told(place.client):
            place.client.update_project(place.id, metadata=wanted)
        return f"dataset_version is {version}, dataset_splits {', '.join(splits)}"

    text = f"correct the experiment's metadata, so that its view shows {len(hidden):,} runs that they hide"
    return Step(Kind.METADATA, text, do)


def close(now: Examined, _: Wishes) -> Step | None:
    """End what never will: root runs whose item is complete without them, and runs below a root that has ended."""
    counts = complete(now.seen)
    roots = [
        one
        for one in ids(now, Code.RUN_PENDING)
        if one.get("example") is None or len(counts.get(str(one["example"]), ())) >= now.seen.repetitions
    ]
    started = {root.id: root.started for root in now.seen.roots} | {
        child.id: child.started for child in now.seen.children
    }
    runs = [one["run"] for one in (*roots, *ids(now, Code.CHILD_PENDING))]
    if not runs:
        return None

    def do() -> str:
        with told(now.place.client):
            for run in runs:
                writing.end_run(now.place.client, run, {"end_time": started[run], "error": _NEVER})
        return f"{len(runs):,} runs were ended"

    text = f"end {len(runs):,} runs that never ended and are not needed: with an error, at the moment of their begin"
    return Step(Kind.CLOSE, text, do)


def relink(now: Examined, wishes: Wishes) -> Step | None:
    """Link runs that ended in an ignored error to the examples whose inputs they have.

    A run that has ended is changed no more (the service answers 409): what is linked is a copy of it.
    """
    links = Case(now.seen, now.evidence, None).ignored if wishes.relink else {}
    if not links:
        return None

    def do() -> str:
        place, examples = now.place, {run: example for example, run in links.items()}
        with told(place.client):
            for row in whole(place, list(examples)):
                writing.create_run(place.client, writing.copy(row, place.id, examples[str(row["id"])]))
        return f"{len(links):,} copies were sent"

    text = f"write copies, linked to their examples, of {len(links):,} runs that ended in an ignored error"
    return Step(Kind.RELINK, text, do)


def duplicates(now: Examined, wishes: Wishes) -> Step | None:
    """Delete the runs of an example that are too many: the later ones, and those that failed first."""
    runs = [one["run"] for one in ids(now, Code.RUN_DUPLICATE)] if wishes.delete_duplicates else []
    if not runs:
        return None

    def do() -> str:
        with told(now.place.client):
            writing.delete_traces(now.place.client, now.place.id, runs)
        return f"{len(runs):,} traces were deleted"

    return Step(Kind.DUPLICATES, f"delete {len(runs):,} traces that are more than were meant, for ever", do)


def offered(now: Examined, wishes: Wishes) -> Iterable[str]:
    """Yield what is not done without its own flag, as it changes what somebody may have wanted."""
    under_way = ids(now, Code.RUN_UNDER_WAY)
    if under_way and wishes.run is not None:
        yield (
            f"--recent 0 says that nothing goes on any more: {len(under_way):,} runs began a short while ago and "
            "have no end, and nothing is executed beside them"
        )
    links = Case(now.seen, now.evidence, None).ignored
    if links and not wishes.relink:
        yield f"--relink writes linked copies of {len(links):,} runs that ended in an ignored error"
    extra = ids(now, Code.RUN_DUPLICATE)
    if extra and not wishes.delete_duplicates:
        yield f"--delete-duplicates deletes {len(extra):,} runs that are more than were meant"
