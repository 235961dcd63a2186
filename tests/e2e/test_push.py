"""`evalrunner push` from one backend to another over real sockets, read on both sides with the SDK."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import secrets
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from langsmith import Client
from langsmith.schemas import Feedback, Run, TracerSession

from evalrunner.connect.embedded import Embedded
from tests.support.cli import in_process
from tests.support.rig import Backend, Command, Finished, backend_in, clean_environment, wait_until

#: The SDK's older reads serve both sides.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

OLD = datetime(2024, 5, 1, 12, 0, tzinfo=timezone.utc)
EXAMPLES, REPETITIONS = 6, 2
PNG = b"\x89PNG\x00\x01"
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The destination; tests use names of their own in it."""
    with backend_in(tmp_path_factory.mktemp("there")) as one:
        yield one


@pytest.fixture(autouse=True)
def healthy(there: Backend) -> None:
    """No test inherits another's faults."""
    there.faults()


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


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """The source, which no push changes."""
    with filled(tmp_path_factory.mktemp("here")) as one:
        yield one


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


def test_the_copy_says_what_the_original_says(here: Here, there: Backend) -> None:
    done = here.push(there, "--experiment-name", "first", "--dataset-name", "first")
    assert done.code == 0, done.err
    copy = assert_equal(here, there, "first")
    traces = EXAMPLES * REPETITIONS
    assert done.receipt["total"] == {
        "traces": 2 * traces, "runs": 3 * traces, "feedback": traces + 1, "examples": EXAMPLES
    }  # fmt: skip
    assert done.receipt["sent"] == done.receipt["total"]
    facts = (copy.project.metadata or {})["evalrunner_push"]
    assert OLD + timedelta(seconds=facts["time_shift_seconds"]) == copy.first
    assert facts["time_shift_seconds"] == done.receipt["shift"]
    assert timedelta() < datetime.now(timezone.utc) - copy.first < timedelta(hours=1)
    assert (copy.project.metadata or {})["mine"] == 1
    judges = [there.client.read_run(run) for run in copy.judges()]
    assert {run.name for run in judges} == {"judge"}
    assert {there.client.read_project(project_id=run.session_id).name for run in judges} == {"evaluators"}


def test_again_sends_nothing_with_and_without_its_folder(here: Here, there: Backend, tmp_path: Path) -> None:
    name = ("--experiment-name", "again", "--dataset-name", "again")
    assert here.push(there, *name).code == 0
    done = here.push(there, *name)
    assert (done.code, set(done.receipt["sent"].values())) == (0, {0})
    elsewhere = Here(here.client, here.project, tmp_path)
    store = here.folder / ".evalrunner" / "store.sqlite"
    done = elsewhere.push(there, *name, "--store", str(store))
    assert (done.code, set(done.receipt["sent"].values())) == (0, {0})
    assert_equal(here, there, "again")


def test_what_was_added_since_is_sent_and_nothing_else(there: Backend, tmp_path: Path) -> None:
    with filled(tmp_path, repetitions=1, examples=1) as here:
        name = str(here.project.name)
        assert here.push(there).code == 0
        [root] = here.client.list_runs(project_id=here.project.id, is_root=True)
        scored = {"trace_id": root.id, "session_id": here.project.id}
        here.client.create_feedback(root.id, "human", score=1, **scored, source_run_id=uuid4())
        here.client.flush()
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["runs"], done.receipt["sent"]["feedback"]) == (0, 0, 1)
        copied = there.client.read_project(project_name=name)
        [root] = there.client.list_runs(project_id=copied.id, is_root=True)
        assert {one.key for one in there.client.list_feedback(run_ids=[root.id])} == {"right", "human"}


@pytest.mark.parametrize(
    ("match", "action"),
    [
        ("POST *examples", "delay"),
        ("POST /sessions", "stall"),
        ("POST /runs/multipart", "stall"),
        ("POST /feedback", "stall"),
    ],
)
def test_a_push_that_is_killed_goes_on(there: Backend, tmp_path: Path, match: str, action: str) -> None:
    copy = f"killed-{secrets.token_hex(4)}"
    name = ("--experiment-name", copy, "--dataset-name", copy)
    with filled(tmp_path, repetitions=1) as here:
        there.faults({"match": match, "action": action, "seconds": 60, "first_n": 1})
        command = here.start(there, *name)
        wait_until(lambda: there.fault_report()["rules"][0]["fired"], what="the request")
        command.kill()
        there.faults()
        done = here.push(there, *name)
        assert done.code == 0, done.err
        assert_equal(here, there, copy)


def test_an_answer_that_is_lost_with_the_push_makes_no_duplicates(there: Backend, tmp_path: Path) -> None:
    name = ("--experiment-name", "cut", "--dataset-name", "cut")
    there.faults({"match": "POST /runs/multipart", "action": "delay", "seconds": 60, "first_n": 1})
    with filled(tmp_path, repetitions=1) as here:
        command = here.start(there, *name)

        def arrived() -> bool:
            with contextlib.suppress(Exception):
                return bool(there.truth("cut")["runs"])
            return False

        wait_until(arrived, what="the first batch")
        command.kill()
        there.faults()
        done = here.push(there, *name)
        assert done.code == 0, done.err
        assert_equal(here, there, "cut")


def test_a_window_of_503_is_waited_for(here: Here, there: Backend) -> None:
    rule = {"match": "POST /runs/multipart", "action": "status", "status": 503, "first_n": 3}
    there.faults(rule)
    done = here.push(there, "--experiment-name", "window", "--dataset-name", "window")
    assert done.code == 0, done.err
    assert there.fault_report()["rules"][0]["fired"] == 3
    assert_equal(here, there, "window")


def test_a_destination_without_the_older_reads_is_read_back_too(here: Here, there: Backend) -> None:
    there.flags(ch_query_enabled=False, sdb_query_enabled=True)
    try:
        done = here.push(there, "--experiment-name", "newer", "--dataset-name", "newer")
    finally:
        there.flags(ch_query_enabled=True, sdb_query_enabled=False)
    assert (done.code, done.receipt["not_visible"]) == (0, []), done.err
    assert_equal(here, there, "newer")


def test_an_ingest_window_is_met_by_moving_the_times_or_said_by_name(here: Here, there: Backend) -> None:
    name = ("--experiment-name", "old", "--dataset-name", "old")
    there.faults(ingest_window_hours=24)
    done = here.push(there, *name, "--no-time-shift")
    assert (done.code, done.receipt["shift"], done.receipt["sent"]["runs"]) == (3, 0, 0)
    holes = done.receipt["not_delivered"]
    assert sum(hole["kind"] == "run" for hole in holes) == done.receipt["total"]["runs"]
    assert all("outside of the window" in hole["reason"] for hole in holes if hole["kind"] == "run")
    assert any("begin more than 24 h ago" in warning for warning in done.receipt["warnings"])
    done = here.push(there, "--experiment-name", "moved", "--dataset-name", "moved")
    assert (done.code, done.receipt["warnings"]) == (0, []), done.err
    assert_equal(here, there, "moved")


def test_of_an_experiment_longer_than_the_window_the_late_half_arrives(
    there: Backend, tmp_path: Path
) -> None:
    there.faults(ingest_window_hours=24)
    with filled(tmp_path, examples=2, hours=30) as here:
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["traces"], done.receipt["total"]["traces"]) == (3, 4, 8)
        early = {
            str(run.id) for run in here.client.list_runs(project_id=here.project.id)
            if run.start_time.replace(tzinfo=timezone.utc) < OLD + timedelta(hours=1)
        }  # fmt: skip
        named = {hole["source_id"] for hole in done.receipt["not_delivered"] if hole["kind"] == "run"}
        assert early
        assert early <= named
        there.faults()
        done = here.push(there)
        assert done.code == 0
        assert [one["code"] for one in done.receipt["findings"]] == ["runs-early"]
        assert here.push(there).receipt["findings"] == []  # they are there, and nobody refuses them any more


def test_ctrl_c_says_how_to_go_on(there: Backend, tmp_path: Path) -> None:
    there.faults({"match": "POST /runs/multipart", "action": "stall", "seconds": 60, "first_n": 1})
    with filled(tmp_path, repetitions=1, examples=1) as here:
        command = here.start(there)
        wait_until(lambda: there.fault_report()["rules"][0]["fired"], what="the request")
        command.signal(signal.SIGINT)
        done = command.finish()
        assert done.code == 4
        assert "the same command goes on" in done.err
        there.faults()
        assert here.push(there).code == 0


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("remembered", [True, False])
def test_the_end_of_a_run_that_was_pushed_without_one_follows(
    there: Backend, tmp_path: Path, newer: bool, remembered: bool
) -> None:
    there.flags(ch_query_enabled=not newer, sdb_query_enabled=newer)
    try:
        with filled(tmp_path, repetitions=1, examples=1) as here:
            late, begun = uuid4(), OLD + timedelta(minutes=5)
            here.client.create_run(
                "late", {"i": 1}, "chain", id=late, trace_id=late, dotted_order=order(begun, late),
                start_time=begun, project_name=here.project.name, attachments={"plot": ("image/png", PNG)},
            )  # fmt: skip
            here.client.flush()
            done = here.push(there)
            assert (done.code, len(done.receipt["warnings"])) == (0, 1), done.err
            assert "1 of 4 runs have not ended here" in done.receipt["warnings"][0]
            assert [one["code"] for one in done.receipt["findings"]] == ["runs-open"]
            here.client.update_run(late, end_time=begun + SECOND, outputs={"o": "late"})
            here.client.flush()
            if not remembered:
                shutil.rmtree(here.folder / ".evalrunner" / "push")
            done = here.push(there)
            assert (done.code, done.receipt["warnings"]) == (0, []), done.err
            there.flags(ch_query_enabled=True, sdb_query_enabled=False)
            copy = assert_equal(here, there, str(here.project.name))
            assert {"o": "late"} in [run.outputs for run in copy.runs.values()]
            assert set(here.push(there).receipt["sent"].values()) == {0}
    finally:
        there.flags(ch_query_enabled=True, sdb_query_enabled=False)


def test_what_belongs_elsewhere_is_said_and_left_out(there: Backend, tmp_path: Path) -> None:
    with filled(tmp_path, repetitions=1, examples=1) as here:
        [root] = here.client.list_runs(project_id=here.project.id, is_root=True)
        guest = uuid4()
        here.client.create_run(
            "guest", {}, "chain", id=guest, trace_id=root.id, parent_run_id=root.id, start_time=OLD,
            dotted_order=order(OLD, guest, str(root.dotted_order)), end_time=OLD, project_name="elsewhere",
        )  # fmt: skip
        trace(here.client, here.project, gone := uuid4(), OLD, 0, lambda _: [])
        here.client.flush()
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["runs"]) == (0, done.receipt["total"]["runs"]), done.err
        examples, runs = done.receipt["warnings"]
        assert str(gone) in examples
        assert runs.startswith("1 run(s) of these traces are left out")
        codes = [one["code"] for one in done.receipt["findings"]]
        assert codes == ["examples-absent", "runs-left-out"]
        assert [one["text"] for one in done.receipt["findings"]] == done.receipt["warnings"]
        copied = there.client.list_runs(project_name=str(here.project.name))
        assert "guest" not in {run.name for run in copied}


@pytest.mark.parametrize("match", ["POST /datasets", "POST *examples", "POST /sessions", "POST /feedback"])
def test_an_answer_that_is_lost_is_no_conflict(here: Here, there: Backend, match: str) -> None:
    name = f"lost-{secrets.token_hex(4)}"
    there.faults({"match": match, "action": "cut_after", "first_n": 1})
    done = here.push(there, "--experiment-name", name, "--dataset-name", name)
    assert done.code == 0, done.err
    assert there.fault_report()["rules"][0]["fired"] == 1
    assert_equal(here, there, name)


@pytest.mark.parametrize("size", [50_000, 80_000])
def test_a_full_disk_ends_it_before_anything_is_sent(there: Backend, tmp_path: Path, size: int) -> None:
    with filled(tmp_path, examples=20) as here:
        command = here.start(there)
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (size, size))
        done = command.finish()
        assert (done.code, done.receipt["exit_code"]) == (2, 2)
        assert "index.sqlite cannot be written: " in done.receipt["error"]
        assert "raise `ulimit -f`" in done.receipt["error"]
        assert not there.client.has_project(str(here.project.name))
        assert here.push(there).code == 0
        assert_equal(here, there, str(here.project.name))


def test_what_is_accepted_and_forgotten_is_named_and_sent_again(here: Here, there: Backend) -> None:
    name = ("--experiment-name", "forgot", "--dataset-name", "forgot")
    there.faults({"match": "POST /runs/multipart", "action": "forget", "first_n": 1})
    done = here.push(there, *name, "--visible-deadline", "5")
    forgotten = there.fault_report()["forgotten"]
    assert done.code == 3, done.err
    assert len(forgotten) == 1
    missing = [hole["id"] for hole in done.receipt["not_visible"] if hole["kind"] == "run"]
    assert forgotten[0] in missing
    there.faults()
    done = here.push(there, *name)
    assert (done.code, done.receipt["sent"]["traces"]) == (0, 1)
    assert_equal(here, there, "forgot")


def test_what_the_destination_answers_is_told(here: Here, there: Backend) -> None:
    there.faults({"match": "POST /datasets", "action": "status", "status": 403})
    done = here.push(there, "--experiment-name", "forbidden", "--dataset-name", "forbidden")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert 'answers 403 to POST /datasets: {"detail":"a fault of the plan"}' in done.err


def test_bad_input_is_one_sentence(here: Here, there: Backend) -> None:
    assert here.push(there).code == 0
    with Embedded(here.folder / ".evalrunner" / "store.sqlite") as itself:
        local = {"--to": itself.url}
        env = clean_environment(K=itself.key, WRONG="x" * 12, ODD="se\ncret", HOME=str(here.folder))
        named = str(here.project.name)
        cases = [
            (
                [f"{named}x", "--to", there.url, "--key-env", "WRONG"],
                "refuses the API key (401); check WRONG",
            ),
            ([named, "--to", local["--to"], "--key-env", "K"], "must name another LangSmith"),
            (
                [named, "--to", "http://127.0.0.1:9", "--key-env", "K"],
                "cannot be reached: connection refused",
            ),
            *(
                ([named, "--to", url, "--key-env", "K"], "--to takes an http(s) address")
                for url in ("ftp://x", "http://[::1", "http://x:99999", f"{there.url}?x=1")
            ),
            ([named, "--to", there.url, "--key-env", "ODD"], "the API key in ODD must be printable"),
            ([named, "--to", there.url, "--key-env", "NO_KEY"], "set NO_KEY"),
        ]
        for words, sentence in cases:
            done = in_process("push", *words, cwd=here.folder, env=env)
            assert (done.code, done.err.count("\n")) == (2, 1), done.err
            assert sentence in done.err
            assert "cret" not in done.err
    near = here.push(there, experiment=f"{named}x")
    assert near.code == 2
    assert f"did you mean '{named}'" in near.err
    there.client.create_project("taken")
    taken = here.push(there, "--experiment-name", "taken")
    assert taken.code == 2
    assert "give another with --experiment-name" in taken.err
