"""An experiment with everything that one can have in the local store, pushed, and read on both sides with the SDK."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

from langsmith import Client
from langsmith.schemas import Feedback, Run, TracerSession

from evalrunner.connect.embedded import Embedded
from tests.support.cli import in_process
from tests.support.rig import Backend, Command, Finished, clean_environment

OLD = datetime(2024, 5, 1, 12, 0, tzinfo=timezone.utc)
EXAMPLES, REPETITIONS = 6, 2
PNG = b"\x89PNG\x00\x01"
SECOND = timedelta(seconds=1)


@dataclass
class Here:
    """The local store, open for reading, and the experiment in it."""

    client: Client
    project: TracerSession
    folder: Path

    def start(self, there: Backend, *arguments: str) -> Command:
        """Push in a process, which can be killed."""
        return Command(self._words(there, *arguments), cwd=self.folder, env=self._environment(there))

    def push(self, there: Backend, *arguments: str, experiment: str | None = None) -> Finished:
        """Push to the end, without a process."""
        words = self._words(there, *arguments, experiment=experiment)
        return in_process(*words, cwd=self.folder, env=self._environment(there))

    def _words(self, there: Backend, *arguments: str, experiment: str | None = None) -> list[str]:
        named = experiment or str(self.project.name)
        return ["push", named, "--to", there.url, "--key-env", "THERE_KEY", "--json", *arguments]

    def _environment(self, there: Backend) -> dict[str, str]:
        return clean_environment(THERE_KEY=there.endpoint.key, HOME=str(self.folder))


def order(at: datetime, run_id: UUID, parent: str = "") -> str:
    return f"{parent}{'.' if parent else ''}{at.strftime('%Y%m%dT%H%M%S%fZ')}{run_id}"


def trace(
    client: Client, project: TracerSession, example: Any, at: datetime, number: int, events: Any
) -> UUID:
    """Write a root with a model's call below it."""
    root, child = uuid4(), uuid4()
    place = order(at, root)
    client.create_run(
        "target", {"i": number}, "chain", id=root, trace_id=root, dotted_order=place,
        start_time=at, end_time=at + 3 * SECOND, outputs={"o": number, "text": "é\u202e"},
        project_name=project.name, reference_example_id=example, tags=["t"],
        extra={"metadata": {"n": number}}, attachments={"plot": ("image/png", PNG + bytes([number]))},
    )  # fmt: skip
    client.create_run(
        "model", {"q": 1}, "llm", id=child, trace_id=root, parent_run_id=root, start_time=at + SECOND,
        dotted_order=order(at + SECOND, child, place), end_time=at + 2 * SECOND, project_name=project.name,
        error="broke" if number % 2 else None, events=events(at),
    )  # fmt: skip
    judge, begun = uuid4(), at + 4 * SECOND
    client.create_run(
        "judge", {}, "chain", id=judge, trace_id=judge, dotted_order=order(begun, judge), start_time=begun,
        end_time=begun + SECOND, outputs={"score": 1}, project_name="evaluators",
    )  # fmt: skip
    client.create_feedback(
        root, "right", score=number / 10, comment="because", trace_id=root, source_run_id=judge,
        feedback_source_type="model", session_id=project.id,
    )  # fmt: skip
    return root


def fill(
    client: Client, repetitions: int = REPETITIONS, examples: int = EXAMPLES, hours: int = 0
) -> TracerSession:
    """Make an experiment of 2024, with everything that one can have; `hours` lie between two repetitions."""
    dataset = client.create_dataset(f"d-{secrets.token_hex(4)}", description="words")
    made = client.create_examples(
        dataset_id=dataset.id,
        examples=[
            {
                "inputs": {"i": number},
                "outputs": {"o": number},
                "metadata": {"kind": "k"},
                "split": ["odd" if number % 2 else "even", "all"],
                "attachments": {"file": ("text/plain", f"text {number}".encode())},
            }
            for number in range(examples)
        ],
    )
    version = max(one.modified_at for one in client.list_examples(dataset_id=dataset.id) if one.modified_at)
    client.create_examples(dataset_id=dataset.id, examples=[{"inputs": {"later": True}}])
    name = f"x-{secrets.token_hex(4)}"
    metadata = {"dataset_version": version.isoformat(), "num_repetitions": repetitions, "mine": 1}
    project = client.create_project(name, reference_dataset_id=dataset.id, metadata=metadata)
    for repetition in range(repetitions):
        for number, example in enumerate(made["example_ids"]):
            at = OLD + timedelta(hours=hours * repetition, minutes=number, seconds=10 * repetition)
            trace(
                client, project, example, at, number, lambda t: [{"name": "new_token", "time": t.isoformat()}]
            )
    client.create_feedback(None, "mean", project_id=project.id, score=0.5)
    client.flush()
    return project


@contextlib.contextmanager
def filled(folder: Path, **size: int) -> Iterator[Here]:
    with Embedded(folder / ".evalrunner" / "store.sqlite") as endpoint:
        client = Client(api_url=endpoint.url, api_key=endpoint.key, tracing_sampling_rate=1)
        try:
            yield Here(client, fill(client, **size), folder)
        finally:
            client.close()


def digest(values: dict[str, Any] | None) -> dict[str, str]:
    return {
        name: hashlib.sha256(one["reader"].read()).hexdigest() + one["mime_type"]
        for name, one in (values or {}).items()
    }


class Told:
    """What the SDK reads of an experiment, with ids replaced by what they name and times counted from the first."""

    def __init__(self, client: Client, name: str) -> None:
        self.project = client.read_project(project_name=name)
        version = str((self.project.metadata or {})["dataset_version"])
        self._examples = {
            example.id: example
            for example in client.list_examples(
                dataset_id=self.project.reference_dataset_id, as_of=version, include_attachments=True
            )
        }
        runs = list(client.list_runs(project_id=self.project.id))
        self.runs = {run.id: run for run in runs}
        self.first = min(run.start_time for run in runs)
        roots = [run.id for run in runs if run.parent_run_id is None]
        self.scores = [
            score for some in range(0, len(roots), 50)
            for score in client.list_feedback(run_ids=roots[some : some + 50])
        ]  # fmt: skip
        params = {"session": str(self.project.id), "level": "session"}
        session = client.request_with_retries("GET", "/feedback", params=params)
        self.summary = [(one["key"], one["score"]) for one in session.json()]
        self.attached = {run.id: client.read_run(run.id).attachments for run in runs if run.id in roots}

    def examples(self) -> list[Any]:
        return sorted(
            ((one.inputs or {})["i"], one.outputs, one.metadata, digest(one.attachments))
            for one in self._examples.values()
        )

    def tree(self) -> list[Any]:
        return sorted((self._run(run) for run in self.runs.values()), key=repr)

    def _run(self, run: Run) -> Any:
        assert run.end_time is not None
        segments = (run.dotted_order or "").split(".")
        assert segments[-1] == order(run.start_time, run.id)
        assert [UUID(one[-36:]) for one in segments] == [*(run.parent_run_ids or []), run.id]
        example = self._examples[run.reference_example_id] if run.reference_example_id else None
        return (
            run.name, run.run_type, run.inputs, run.outputs, run.error, run.tags, run.status,
            (run.start_time - self.first, run.end_time - self.first),
            [datetime.fromisoformat(str(event["time"])) - self.first for event in run.events or []],
            self.runs[run.parent_run_id].name if run.parent_run_id else None,
            example.inputs if example else None, run.metadata.get("n"),
            digest(self.attached.get(run.id)),
        )  # fmt: skip

    def feedback(self) -> list[Any]:
        return sorted((self._score(score) for score in self.scores), key=repr)

    def _score(self, score: Feedback) -> Any:
        run = self.runs[cast(UUID, score.run_id)]
        return score.key, score.score, score.comment, run.inputs, run.start_time - self.first

    def judges(self) -> list[str]:
        sources = [one.feedback_source for one in self.scores if one.feedback_source]
        return [str((source.metadata or {})["__run"]["run_id"]) for source in sources]


def assert_equal(here: Here, there: Backend, name: str) -> Told:
    source, copy = Told(here.client, str(here.project.name)), Told(there.client, name)
    assert copy.examples() == source.examples()
    assert all(files for *_, files in copy.examples())
    assert all(copy.attached.values())
    assert copy.tree() == source.tree()
    assert copy.feedback() == source.feedback()
    assert copy.summary == source.summary
    return copy
