"""What is wrong with an experiment, by id, told from the outside with nothing but the SDK's own reads and what the
processes wrote down. It shares no code with the product that it judges.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from langsmith import Client
from langsmith.schemas import Feedback, Run, TracerSession
from langsmith.utils import LangSmithNotFoundError

from evalrunner.doctor.causes import Cause
from scripts.chaos.cause_stage import Stage

Truth = dict[str, dict[str, Cause | None]]
#: Told of the experiment, and not of runs: their ids are not compared.
WHOLE = frozenset({"view-no-dataset", "nothing-meant"})


@dataclass
class Seen:
    """An experiment as the SDK reads it."""

    project: TracerSession
    runs: list[Run]
    roots: list[Run]
    feedback: dict[str, list[Feedback]] = field(default_factory=dict)
    judged: set[str] = field(default_factory=set)

    @property
    def ended(self) -> list[Run]:
        """The root runs that have an end."""
        return [run for run in self.roots if run.end_time is not None]


def see(stage: Stage) -> Seen:
    """Read what is there now."""
    client = stage.backend.client
    stage.log.read()
    project = client.read_project(project_name=stage.experiment)
    runs = runs_of(client, project)
    seen = Seen(project, runs, [run for run in runs if run.parent_run_id is None])
    for part in _parts([one.evaluator for one in stage.log.scores if one.evaluator != "-"]):
        seen.judged |= {str(run.id) for run in _evaluators(client, part) if run.end_time}
    for part in _parts([str(run.id) for run in seen.roots]):
        for score in client.list_feedback(run_ids=part):
            seen.feedback.setdefault(str(score.run_id), []).append(score)
    return seen


def runs_of(client: Client, project: TracerSession) -> list[Run]:
    """Return all runs of a project."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return list(client.list_runs(project_id=project.id))


def _evaluators(client: Client, ids: Sequence[str]) -> list[Run]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return list(client.list_runs(project_name="evaluators", id=ids))
    except LangSmithNotFoundError:
        return []  # no evaluator has been traced yet


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(ids), 100):
        yield list(ids[at : at + 100])


class Judge:
    """Tells what is wrong with an experiment."""

    def __init__(self, stage: Stage, seen: Seen) -> None:
        self.stage, self.seen, self.log = stage, seen, stage.log
        self._number = {one: number for number, one in stage.ids.items()}
        self._roots = {str(run.id): run for run in seen.roots}

    def truth(self) -> Truth:
        """Return symptom -> id -> whose doing it is."""
        found: Truth = {
            "run-missing": self._missing(),
            "run-pending": self._of(run for run in self.seen.roots if run.end_time is None),
            "run-unlinked": self._of(run for run in self.seen.ended if run.reference_example_id is None),
            "run-duplicate": self._duplicates(),
            "view-hidden": self._of(self._hidden()),
            "trace-headless": self._headless(),
            "child-orphan": self._of(self._orphans()),
            "child-pending": self._of(self._pending_children()),
            "score-failed": self._of(run for run in self.seen.roots if self._failed(run)),
            "score-lost": self._scores(raised=False),
            "score-silent": self._scores(raised=True),
            "view-inputs-hidden": self._of(self._bare()),
            "view-split": dict.fromkeys(self.stage.elsewhere, Cause.ELSEWHERE),
        }
        if self.seen.project.reference_dataset_id is None:
            found["view-no-dataset"] = {"": Cause.NO_DATASET}
        return {code: ids for code, ids in found.items() if ids}

    def lacks(self) -> dict[str, int]:
        """Return how many runs each example lacks."""
        times = self.stage.repetitions
        return {one: times - len(runs) for one, runs in self._complete().items() if len(runs) < times}

    def _complete(self) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {one: [] for one in self.stage.ids.values()}
        for run in self.seen.ended:
            if str(run.reference_example_id) in runs:
                runs[str(run.reference_example_id)].append(run)
        return runs

    def _missing(self) -> dict[str, Cause | None]:
        return {one: self._blamed_example(one) for one in self.lacks()}

    def _duplicates(self) -> dict[str, Cause | None]:
        times, found = self.stage.repetitions, []
        for one, runs in self._complete().items():
            sound = [run for run in runs if not run.error]
            # What failed counts where too few have not: beside enough of those it was an attempt.
            if len(sound if len(sound) >= times else runs) > times:
                found.append(one)
        return {one: self._blamed_example(one) for one in found}

    def _hidden(self) -> Iterator[Run]:
        """Return the runs whose examples the SDK does not give, asked with the experiment's own metadata."""
        metadata = self.seen.project.metadata or {}
        version, splits = metadata.get("dataset_version"), metadata.get("dataset_splits")
        if version is None or splits is None:
            return
        client, dataset = self.stage.backend.client, self.stage.dataset_id
        found = client.list_examples(dataset_id=dataset, as_of=version, splits=splits)
        shown = {str(one.id) for one in found}
        for run in self.seen.ended:
            if str(run.reference_example_id) in self._number and str(run.reference_example_id) not in shown:
                yield run

    def _headless(self) -> dict[str, Cause | None]:
        traces = {str(run.trace_id) for run in self.seen.runs} - self._roots.keys()
        return {one: self._blamed_run(one) for one in traces}

    def _orphans(self) -> Iterator[Run]:
        there = {run.id for run in self.seen.runs}
        for run in self._below():
            if run.parent_run_id not in there:
                yield run

    def _pending_children(self) -> Iterator[Run]:
        for run in self._below():
            if run.end_time is None and self._roots[str(run.trace_id)].end_time is not None:
                yield run

    def _below(self) -> Iterator[Run]:
        for run in self.seen.runs:
            if run.parent_run_id is not None and str(run.trace_id) in self._roots:
                yield run

    def _failed(self, run: Run) -> bool:
        return any((one.extra or {}).get("error") for one in self.seen.feedback.get(str(run.id), []))

    def _scores(self, *, raised: bool) -> dict[str, Cause | None]:
        """Return the complete runs without a key that an evaluator gave, or would have, as its trace says."""
        ended = {str(run.id) for run in self.seen.ended}
        return {
            one.run: self._blamed_run(one.run)
            for one in self.log.scores
            if one.raised is raised
            and one.run in ended
            and one.evaluator in self.seen.judged
            and one.key not in {given.key for given in self.seen.feedback.get(one.run, [])}
        }

    def _bare(self) -> list[Run]:
        """Return the runs without inputs: examples have some here, and tests that log theirs have none."""
        if self.stage.logs_inputs:
            return []
        runs = [run for run in self.seen.ended if run.reference_example_id is not None]
        return [run for run in runs if not run.inputs]

    def _of(self, runs: Iterable[Run]) -> dict[str, Cause | None]:
        return {str(run.id): self._blamed_run(str(run.trace_id), run) for run in runs}

    def _blamed_example(self, example: str) -> Cause | None:
        return self.stage.blamed.get(self._number.get(example, -1))

    def _blamed_run(self, trace: str, run: Run | None = None) -> Cause | None:
        root = self._roots.get(trace)
        for one in (root, run):
            if one is not None and one.reference_example_id is not None:
                return self._blamed_example(str(one.reference_example_id))
        return self.stage.blamed.get(self.log.begun.get(trace, -1), self.loose(trace))

    def loose(self, trace: str) -> Cause | None:
        """Return whose doing a run is that is no item's."""
        causes = set(self.stage.blamed.values())
        return Cause.CONTEXT_LOST if Cause.CONTEXT_LOST in causes and trace not in self.log.begun else None


def by_cause(truth: Truth) -> dict[Cause, dict[str, set[str]]]:
    """Return cause -> symptom -> ids."""
    found: dict[Cause, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for symptom, ids in truth.items():
        for one, cause in ids.items():
            if cause is not None:
                found[cause][symptom].add(one)
    return found
