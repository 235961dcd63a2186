"""What is not known of a LangSmith service until it is tried: in a project and a dataset that are made and removed.

Each answer is what was seen, once, and not what the service promises.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import orjson
from langsmith import Client

from evalrunner.clock import Clock
from evalrunner.config import Endpoint
from evalrunner.delivery.sending.transport import Answer, HttpTransport
from evalrunner.delivery.spool.record import closing, encode_parts
from evalrunner.service import client as service
from evalrunner.service.capabilities import only_newer_reads
from evalrunner.service.errors import told
from evalrunner.service.pages import query_runs
from evalrunner.service.preflight import check

_JSON = "application/json"
_BOUNDARY = f"evalrunner-{'0' * 32}"
#: Seconds for which what was accepted is waited for, and between two looks.
LONGEST, _PAUSE = 60.0, 0.25


@dataclass(frozen=True)
class Seen:
    """A question, and what was seen."""

    question: str
    answer: str


def probe(endpoint: Endpoint, clock: Clock) -> Iterator[Seen]:
    """Try it, and yield what was seen.

    Raises:
        ServiceError: the service cannot be used, or refuses what is tried.
    """
    client = service.make_client(endpoint)
    newer = only_newer_reads(check(client).model_dump(mode="json"))
    with told(client), _stage(client) as (dataset, project):
        bench = _Bench(client, endpoint, clock, project, newer)
        yield Seen("how long until a run that was accepted can be read", bench.lag())
        yield Seen("a run that is created twice", bench.twice("post"))
        yield Seen("a run that is ended twice", bench.twice("patch"))
        yield Seen("a new run in one request with one that is there already", bench.beside())
        yield Seen("a score that is given twice under one id", bench.scored_twice())
        yield Seen("runs of examples younger than the experiment's dataset_version", bench.view(dataset))


@contextmanager
def _stage(client: Client) -> Iterator[tuple[str, str]]:
    """Make a dataset of two examples and an experiment over it, and remove both."""
    name = f"evalrunner-probe-{secrets.token_hex(4)}"
    dataset = client.create_dataset(
        name, description="made by evalrunner doctor --service, and removed by it"
    )
    try:
        for number in range(2):
            client.create_example({"i": number}, dataset_id=dataset.id, outputs={"i": number})
        project = client.create_project(name, reference_dataset_id=dataset.id)
        try:
            yield str(dataset.id), str(project.id)
        finally:
            client.delete_project(project_id=str(project.id))
    finally:
        client.delete_dataset(dataset_id=dataset.id)


class _Bench:
    """Sends and reads back."""

    def __init__(self, client: Client, endpoint: Endpoint, clock: Clock, project: str, newer: bool) -> None:
        self._client, self._clock, self._project, self._newer = client, clock, project, newer
        self._transport = HttpTransport(endpoint.url, endpoint.key, workspace=endpoint.workspace)

    def lag(self) -> str:
        run = str(uuid.uuid4())
        answer = self._send(self._run("post", run))
        began = self._clock.monotonic()
        there = self._await(lambda: self._reads(run))
        if not there:
            return f"answered {answer.status}; not there after {LONGEST:.0f} s"
        return f"answered {answer.status}; there after {self._clock.monotonic() - began:.1f} s"

    def twice(self, kind: str) -> str:
        run = str(uuid.uuid4())
        if kind == "patch":
            self._send(self._run("post", run))
            self._await(lambda: self._reads(run))
        first, second = self._send(self._run(kind, run)), self._send(self._run(kind, run))
        return f"answered {first.status}, then {second.status}"

    def beside(self) -> str:
        old, new = str(uuid.uuid4()), str(uuid.uuid4())
        self._send(self._run("post", old))
        self._await(lambda: self._reads(old))
        answer = self._send(self._run("post", old), self._run("post", new))
        kept = self._await(lambda: self._reads(new))
        return f"answered {answer.status}; the new one was {'kept' if kept else 'lost'}"

    def scored_twice(self) -> str:
        run, score = str(uuid.uuid4()), str(uuid.uuid4())
        self._send(self._run("post", run))
        self._await(lambda: self._reads(run))
        body = {
            "id": score,
            "run_id": run,
            "trace_id": run,
            "session_id": self._project,
            "key": "probe",
            "score": 1,
        }
        operation = ("feedback", score, [(f"feedback.{score}", _JSON, orjson.dumps(body))])
        first, second = self._send(operation), self._send(operation)
        number: list[int] = [0]

        def scored() -> bool:
            found = self._client.request_with_retries("GET", "/feedback", params={"run": [run]}).json()
            number[0] = len(found)
            return bool(found)

        self._await(scored)
        return f"answered {first.status}, then {second.status}; {number[0]} there"

    def view(self, dataset: str) -> str:
        examples = sorted(self._client.list_examples(dataset_id=dataset), key=lambda one: str(one.created_at))
        for example in examples:
            run = str(uuid.uuid4())
            self._send(self._run("post", run, reference_example_id=str(example.id)))
            self._await(lambda run=run: self._reads(run))  # type: ignore[misc]
        before = examples[0].created_at or self._clock.utcnow() - timedelta(hours=1)
        self._client.update_project(self._project, metadata={"dataset_version": before.isoformat()})
        rows = self._client.request_with_retries(
            "POST", f"/datasets/{dataset}/runs", request_kwargs={"json": {"session_ids": [self._project]}}
        ).json()
        shown = sum(bool(row.get("runs")) for row in rows if isinstance(row, dict))
        return f"the view shows {shown} of {len(examples)} when it names the older one's"

    def _run(self, kind: str, run: str, **more: Any) -> tuple[str, str, list[tuple[str, str, bytes]]]:
        now: datetime = self._clock.utcnow()
        fields = {
            "id": run, "trace_id": run, "session_id": self._project, "start_time": now.isoformat(),
            "dotted_order": f"{now:%Y%m%dT%H%M%S%f}Z{run}", "end_time": now.isoformat(), **more,
        }  # fmt: skip
        if kind == "post":
            fields |= {"name": "probe", "run_type": "chain"}
        return kind, run, [(f"{kind}.{run}", _JSON, orjson.dumps(fields))]

    def _send(self, *operations: tuple[str, str, list[tuple[str, str, bytes]]]) -> Answer:
        body = encode_parts(_BOUNDARY, operations)[1] + closing(_BOUNDARY)
        return self._transport.post_multipart(body, _BOUNDARY, compress=False)

    def _reads(self, run: str) -> bool:
        found = query_runs(self._client, self._project, ("id",), newer=self._newer, ids=[run])
        return next(found, None) is not None

    def _await(self, there: Callable[[], bool]) -> bool:
        end = self._clock.monotonic() + LONGEST
        while not there():
            if self._clock.monotonic() > end:
                return False
            Event().wait(_PAUSE)
        return True
