"""Every code has its function and its line in the table; every text is the sentence that has always been printed."""

from __future__ import annotations

import pytest

from evalrunner.verify import findings as f
from evalrunner.verify import transfers as t
from evalrunner.verify.codes import KINDS, Code, Finding

EACH: list[tuple[Finding, str]] = [
    (f.experiment_renamed("a", "b"), "the experiment 'a' was renamed to 'b' while the run went on"),
    (
        f.unclaimed("why"),
        "the experiment could not be claimed (why): nothing kept a second command over it apart from this one",
    ),
    (
        f.taken_over("pid 7 on n1"),
        "another evalrunner has taken the experiment over (pid 7 on n1): this one stops",
    ),
    (f.experiment_deleted("a", None), "the experiment 'a' was deleted while the run went on"),
    (
        f.experiment_deleted("a", "d"),
        "the dataset 'd' and with it the experiment 'a' was deleted while the run went on",
    ),
    (f.dataset_deleted("d"), "the dataset 'd' was deleted while the run went on"),
    (
        f.stray_runs("a"),
        "runs that do not come back may lie in the project 'a', which has the experiment's old name: delete it "
        "once you have looked, and run the same command again",
    ),
    (f.worker_replaced("worker 1 was replaced: ..."), "worker 1 was replaced: ..."),
    (f.worker_trouble(1, "its disk is full"), "worker 1: its disk is full; see logs/worker-1.log"),
    (
        f.foreign_clients(1, 2),
        "worker 1: 2 LangSmith client(s) of the target's own were drained; what they sent is outside the books",
    ),
    (
        f.processes_left("the target", ["a"]),
        "the target had left 1 process(es) outside its process group; they were killed: a",
    ),
    (
        f.processes_left("the target", list("abcdefg")),
        "the target had left 7 process(es) outside its process group; they were killed: a, b, c, d, e and 2 more",
    ),
    (f.summary_waits(), "the summary evaluators wait until the experiment is complete"),
    (f.summary_failed(ValueError("no")), "the summary evaluators could not be run (ValueError: no)"),
    (f.summary_not_visible("k"), "the summary score k does not come back"),
    (f.metadata_unwritten("why"), "the experiment's metadata could not be written (why)"),
    (
        f.error_records_left(3),
        "3 record(s) of evaluators' earlier errors could not be removed from the experiment, where the scores stand "
        "beside them; the same command removes them",
    ),
    (
        f.experiment_unread("why"),
        "the experiment could not be read once more (why): what is visible here came back earlier in this run; "
        "duplicates, strangers and scores are not known",
    ),
    (f.scores_unread("why"), "the scores could not be read once more (why)"),
    (
        f.scores_unread("why", 4),
        "the scores of up to 4 item(s) could not be read and count as missing (why)",
    ),
    (f.scores_unreadable(4, "why"), "the scores of 4 item(s) could not be read and count as missing: why"),
    (f.evaluator_silent("judge"), "evaluator judge gave no score on any item"),
    (f.item_odd("e", 0, ["odd"])[0], "e #0: odd"),
    (
        f.examples_not_meant(21, "its runs are of split a"),
        "21 further example(s) of the dataset were left out, because evalrunner has not filled this experiment: its "
        "runs are of split a; --as-of latest takes the whole dataset",
    ),
    (
        f.examples_unsure("why"),
        "all examples that there were are evaluated: why; --split and --limit say which",
    ),
    (t.runs_open(1, 4), "1 of 4 runs have not ended here; push again when they have"),
    (
        t.traces_early(2, 9, ["a", "b"]),
        "2 of 9 traces begin more than 24 h ago, and a service may refuse them: a, b",
    ),
    (
        t.runs_early("2 days, 0:00:00"),
        "the earliest run begins 2 days, 0:00:00 ago as it is moved, and a service may refuse what began more than "
        "24 hours ago",
    ),
    (
        t.runs_left_out(1),
        "1 run(s) of these traces are left out: they are in another project, or new",
    ),
    (
        t.examples_absent(1, ["a"]),
        "there are runs of 1 example(s) that this version of the dataset does not have, and they are pushed "
        "without: a",
    ),
    (
        t.examples_further("d", 2),
        "the dataset 'd' there has 2 further example(s), which this experiment has no runs of",
    ),
    (
        t.examples_left_out(1000),
        "1,000 runs name an example of a dataset (reference_example_id), which is left out: the project is no "
        "experiment, and the example may be another's there",
    ),
    (t.project_empty(None), "the project has no runs: the file is empty"),
    (t.project_empty("eq(a, 1)"), "no trace matches 'eq(a, 1)': the file is empty"),
    (t.runs_appeared(2), "2 runs were added while the project was read, and not in the file"),
    (
        t.runs_changed(1),
        "1 run was changed (ended, say) after having been read; the file has the state before",
    ),
    (t.runs_vanished(1), "1 run was deleted before being read, and not in the file"),
    (t.changes_unseen("why"), "what has changed while the project was read is not known: why"),
    (t.runs_open_in_file(1), "1 run(s) in the file had not ended when they were read"),
    (
        t.runs_open_in_input(1),
        "1 run(s) of the input have not ended; upload them again when they have",
    ),
    (
        t.scores_left_out(1),
        "1 score(s) of the project itself (summary evaluators') belong to no run, and are not in the file",
    ),
    (
        t.input_cut_off(),
        "the input is cut off: a trace before the cut may lack runs that stood behind it",
    ),
]


@pytest.mark.parametrize(("found", "text"), EACH, ids=[text[:40] for _, text in EACH])
def test_the_texts(found: Finding, text: str) -> None:
    assert found.text == text


def test_every_code_is_made_by_somebody_and_stands_in_the_table() -> None:
    assert set(Code) == set(KINDS) == {found.code for found, _ in EACH}


def test_codes_are_words_that_scripts_can_hold_on_to() -> None:
    assert all(code.value == code.name.lower().replace("_", "-") for code in Code)
