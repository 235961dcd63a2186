"""What a run's receipt warns of: a function for each kind of finding, which makes its sentence."""

from __future__ import annotations

from collections.abc import Iterable

from evalrunner.verify.codes import Code, Finding


def experiment_renamed(old: str, new: str) -> Finding:
    """Somebody has renamed the experiment."""
    told = f"the experiment {old!r} was renamed to {new!r} while the run went on"
    return Finding(Code.EXPERIMENT_RENAMED, told)


def experiment_deleted(name: str, dataset: str | None) -> Finding:
    """Somebody has deleted the experiment, and maybe the dataset with it."""
    lost = "the" if dataset is None else f"the dataset {dataset!r} and with it the"
    return Finding(Code.EXPERIMENT_DELETED, f"{lost} experiment {name!r} was deleted while the run went on")


def taken_over(by: str) -> Finding:
    """Another command has gone on in place of this one."""
    return Finding(
        Code.TAKEN_OVER, f"another evalrunner has taken the experiment over ({by}): this one stops"
    )


def dataset_deleted(name: str) -> Finding:
    """Somebody has deleted the dataset."""
    return Finding(Code.DATASET_DELETED, f"the dataset {name!r} was deleted while the run went on")


def stray_runs(project: str) -> Finding:
    """Runs do not come back, and there is a new project under the experiment's old name."""
    return Finding(
        Code.STRAY_RUNS,
        f"runs that do not come back may lie in the project {project!r}, which has the experiment's old name: "
        "delete it once you have looked, and run the same command again",
    )


def examples_not_meant(number: int, why: str) -> Finding:
    """An experiment of something else covers a part of its dataset."""
    return Finding(
        Code.EXAMPLES_NOT_MEANT,
        f"{number:,} further example(s) of the dataset were left out, because evalrunner has not filled this "
        f"experiment: {why}; --as-of latest takes the whole dataset",
    )


def examples_unsure(doubt: str) -> Finding:
    """An experiment of something else was meant for a part of its dataset that nobody knows."""
    return Finding(
        Code.EXAMPLES_UNSURE,
        f"all examples that there were are evaluated: {doubt}; --split and --limit say which",
    )


def worker_replaced(told: str) -> Finding:
    """What failed in a worker did not in a fresh one; the core says it in words."""
    return Finding(Code.WORKER_REPLACED, told)


def worker_trouble(slot: int, trouble: str) -> Finding:
    """A worker's acknowledgment names something that was not in order."""
    return Finding(Code.WORKER_TROUBLE, f"worker {slot}: {trouble}; see logs/worker-{slot}.log")


def foreign_clients(slot: int, clients: int) -> Finding:
    """A target had LangSmith clients of its own."""
    return Finding(
        Code.FOREIGN_CLIENTS,
        f"worker {slot}: {clients} LangSmith client(s) of the target's own were drained; what they sent is "
        "outside the books",
    )


def processes_left(whose: str, names: list[str]) -> Finding:
    """Processes outlived their worker."""
    named = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Finding(
        Code.PROCESSES_LEFT,
        f"{whose} had left {len(names)} process(es) outside its process group; they were killed: {named}",
    )


def summary_waits() -> Finding:
    """Something is missing over which the summary evaluators would run."""
    return Finding(Code.SUMMARY_WAITS, "the summary evaluators wait until the experiment is complete")


def summary_failed(error: Exception) -> Finding:
    """The summary evaluators could not be run, whatever they themselves do."""
    told = f"the summary evaluators could not be run ({type(error).__name__}: {error})"
    return Finding(Code.SUMMARY_FAILED, told)


def summary_not_visible(key: str) -> Finding:
    """A summary score was accepted and does not come back."""
    return Finding(Code.SUMMARY_NOT_VISIBLE, f"the summary score {key} does not come back")


def metadata_unwritten(why: str) -> Finding:
    """The experiment's metadata is not what this run found."""
    return Finding(Code.METADATA_UNWRITTEN, f"the experiment's metadata could not be written ({why})")


def unclaimed(why: str) -> Finding:
    """Nobody else can know that this command ran the experiment."""
    return Finding(
        Code.UNCLAIMED,
        f"the experiment could not be claimed ({why}): nothing kept a second command over it apart from this one",
    )


def error_records_left(number: int) -> Finding:
    """Records of errors stand beside the scores that have made them untrue."""
    return Finding(
        Code.ERROR_RECORDS_LEFT,
        f"{number} record(s) of evaluators' earlier errors could not be removed from the experiment, where the "
        "scores stand beside them; the same command removes them",
    )


def experiment_unread(why: str) -> Finding:
    """The last look saw nothing."""
    return Finding(
        Code.EXPERIMENT_UNREAD,
        f"the experiment could not be read once more ({why}): what is visible here came back earlier in this run; "
        "duplicates, strangers and scores are not known",
    )


def scores_unread(why: str, items: int | None = None) -> Finding:
    """The last look was refused the scores: all, or those of so many items at most."""
    if items is None:
        return Finding(Code.SCORES_UNREAD, f"the scores could not be read once more ({why})")
    told = f"the scores of up to {items} item(s) could not be read and count as missing ({why})"
    return Finding(Code.SCORES_UNREAD, told)


def scores_unreadable(items: int, why: str) -> Finding:
    """The service fails at the scores of just these items."""
    told = f"the scores of {items} item(s) could not be read and count as missing: {why}"
    return Finding(Code.SCORES_UNREAD, told)


def evaluator_silent(name: str) -> Finding:
    """An evaluator ran, never failed, and gave nothing."""
    return Finding(Code.EVALUATOR_SILENT, f"evaluator {name} gave no score on any item")


def item_odd(example_id: str, repetition: int, texts: Iterable[str]) -> list[Finding]:
    """Return what a worker said of an item."""
    return [Finding(Code.ITEM_ODD, f"{example_id} #{repetition}: {text}") for text in texts]
