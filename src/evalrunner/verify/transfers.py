"""What a push, an upload or a download warns of: a function for each kind of finding, which makes its sentence."""

from __future__ import annotations

from collections.abc import Iterable

from evalrunner.verify.codes import Code, Finding


def runs_open(count: int, total: int) -> Finding:
    """Runs of the experiment have no end yet."""
    told = f"{count} of {total} runs have not ended here; push again when they have"
    return Finding(Code.RUNS_OPEN, told)


def traces_early(count: int, total: int, named: Iterable[str]) -> Finding:
    """Traces of a push are too old, moved or not."""
    return Finding(
        Code.RUNS_EARLY,
        f"{count} of {total} traces begin more than 24 h ago, and a service may refuse them: {', '.join(named)}",
    )


def runs_early(ago: str) -> Finding:
    """The earliest run of an upload is too old as it is moved."""
    return Finding(
        Code.RUNS_EARLY,
        f"the earliest run begins {ago} ago as it is moved, and a service may refuse what began more than 24 hours "
        "ago",
    )


def runs_left_out(count: int) -> Finding:
    """Runs of the traces are not in the index of the push."""
    told = f"{count} run(s) of these traces are left out: they are in another project, or new"
    return Finding(Code.RUNS_LEFT_OUT, told)


def examples_absent(count: int, named: Iterable[str]) -> Finding:
    """Runs are of examples of another version."""
    return Finding(
        Code.EXAMPLES_ABSENT,
        f"there are runs of {count} example(s) that this version of the dataset does not have, and they are pushed "
        f"without: {', '.join(named)}",
    )


def examples_further(dataset: str, count: int) -> Finding:
    """The dataset there is larger than the experiment's version of it."""
    return Finding(
        Code.EXAMPLES_FURTHER,
        f"the dataset {dataset!r} there has {count} further example(s), which this experiment has no runs of",
    )


def examples_left_out(count: int) -> Finding:
    """Recorded runs name examples, which may be others' there."""
    return Finding(
        Code.EXAMPLES_LEFT_OUT,
        f"{count:,} runs name an example of a dataset (reference_example_id), which is left out: the project is no "
        "experiment, and the example may be another's there",
    )


def input_cut_off() -> Finding:
    """An input ends in the middle."""
    return Finding(
        Code.INPUT_CUT_OFF,
        "the input is cut off: a trace before the cut may lack runs that stood behind it",
    )


def project_empty(filter: str | None) -> Finding:
    """There is nothing to download."""
    what = f"no trace matches {filter!r}" if filter else "the project has no runs"
    return Finding(Code.PROJECT_EMPTY, f"{what}: the file is empty")


def runs_appeared(count: int) -> Finding:
    """Runs have come since the download looked first."""
    return Finding(
        Code.PROJECT_CHANGED, f"{_runs(count)} added while the project was read, and not in the file"
    )


def runs_changed(count: int) -> Finding:
    """Runs are other ones than those that were read."""
    return Finding(
        Code.PROJECT_CHANGED,
        f"{_runs(count)} changed (ended, say) after having been read; the file has the state before",
    )


def runs_vanished(count: int) -> Finding:
    """Runs were seen, and were not there any more when they were to be read."""
    return Finding(Code.PROJECT_CHANGED, f"{_runs(count)} deleted before being read, and not in the file")


def changes_unseen(why: object) -> Finding:
    """The last look at the project saw nothing."""
    return Finding(Code.PROJECT_UNREAD, f"what has changed while the project was read is not known: {why}")


def runs_open_in_file(count: int) -> Finding:
    """Runs in the file have no end yet."""
    told = f"{count:,} run(s) in the file had not ended when they were read"
    return Finding(Code.RUNS_OPEN, told)


def runs_open_in_input(count: int) -> Finding:
    """Runs of an input have no end yet."""
    told = f"{count:,} run(s) of the input have not ended; upload them again when they have"
    return Finding(Code.RUNS_OPEN, told)


def scores_left_out(count: int) -> Finding:
    """A project has scores that are of no run."""
    return Finding(
        Code.SCORES_LEFT_OUT,
        f"{count:,} score(s) of the project itself (summary evaluators') belong to no run, and are not in the file",
    )


def _runs(count: int) -> str:
    return f"{count:,} run{' was' if count == 1 else 's were'}"
