"""Pushing an experiment to another LangSmith: read here, rewritten, sent by our sender, read back there.

    source ── index (ids, times) ──> shift, ids ──> dataset and experiment there
           ── whole traces ────────> spool ──> sender ──> read back by id ──> summary

Running it again sends only what has not been accepted. What was accepted and did not come back is sent once
more, under the same ids: the service answers 409 to what it has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import requests
from langsmith import Client
from langsmith import utils as sdk

from evalrunner.clock import SYSTEM
from evalrunner.config import Endpoint
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.errors import ServiceError
from evalrunner.service.capabilities import only_newer_reads, takes_multipart, takes_zstd
from evalrunner.service.client import find_experiment, make_client
from evalrunner.service.errors import host, told
from evalrunner.service.preflight import check
from evalrunner.transfer.push import place
from evalrunner.transfer.push.confirm import Confirmation, open_runs
from evalrunner.transfer.push.send import Dispatch
from evalrunner.transfer.push.source import Index, Source
from evalrunner.transfer.push.state import Accepted, PushFolder
from evalrunner.transfer.push.summary import Pushed, PushOptions
from evalrunner.transfer.push.transform import FACTS, Rewriting, choose_shift, session
from evalrunner.transfer.remote.calls import get, post, rows
from evalrunner.transfer.window import WINDOW


def push(origin: Endpoint, to: Endpoint, options: PushOptions, note: Callable[[str], None]) -> Pushed:
    """Push one experiment.

    Args:
        note: takes what holds things up, for people.

    Raises:
        UsageError: something that was asked for cannot be done.
    """
    here, there = make_client(origin), make_client(to)
    info: dict[str, Any] = check(there).model_dump(mode="json")
    if not takes_multipart(info):
        raise ServiceError(f"LangSmith at {host(to.url)} does not take POST /runs/multipart; update it")
    with told(here):
        source = Source(here, str(find_experiment(here, options.experiment).id))
        errand = _Errand(here, there, source, options, source.session())
        errand.newer = only_newer_reads(info)
    with told(there):
        errand.prepare()
    with _opened(options.root, errand, to, info, note) as (accepted, dispatch, folder):
        return errand.carry_out(accepted, dispatch, folder)


@contextlib.contextmanager
def _opened(
    root: Path, errand: _Errand, to: Endpoint, info: dict[str, Any], note: Callable[[str], None]
) -> Iterator[tuple[Accepted, Dispatch, PushFolder]]:
    with contextlib.ExitStack() as stack:
        folder = PushFolder(root, errand.session["id"], str(errand.to.experiment))
        stack.callback(folder.close)
        accepted = Accepted(folder.path)
        stack.callback(accepted.close)
        dispatch = Dispatch(
            folder,
            accepted,
            lambda: HttpTransport(to.url, to.key, workspace=to.workspace),
            compress=takes_zstd(info),
            deadline=errand.options.delivery_deadline,
            note=note,
        )
        stack.callback(dispatch.close)
        yield accepted, dispatch, folder


class _Errand:
    """One push, step by step."""

    to: Rewriting
    _known = False  # an earlier push has made the experiment there
    newer = False  # the destination answers the newer generation of reads only
    _index: Index
    _snapshot: place.Snapshot

    def __init__(
        self, here: Client, there: Client, source: Source, options: PushOptions, found: dict[str, Any]
    ) -> None:
        self._here, self._there, self._source, self.options = here, there, source, options
        self.session = found
        self._dataset = get(here, f"/datasets/{found['reference_dataset_id']}")
        self._index = source.index()
        self._warnings: list[str] = []

    def prepare(self) -> None:
        """Find or make dataset and experiment there.

        Raises:
            ServiceError: it is the same store, or a name is taken by something else.
        """
        self._refuse_itself()
        name = self.options.experiment_name or self.session["name"]
        known = place.find_session(self._there, name, self.session["id"])
        self._snapshot = self._copy_dataset()
        experiment = UUID(known["id"]) if known else uuid4()
        facts = known["extra"]["metadata"][FACTS] if known else {}
        shift = timedelta(seconds=facts["time_shift_seconds"]) if known else self._shift()
        self._known = known is not None
        self.to = Rewriting(experiment, name, self._snapshot.id, shift, self._index.runs)
        if known is None:
            self._make_session()
        self._warn_of_window()
        self._warn_of_gaps()

    def _refuse_itself(self) -> None:
        same = get(self._there, "/sessions", {"id": [self.session["id"]], "limit": 1})
        if same and same[0].get("tenant_id") == self.session.get("tenant_id"):
            raise ServiceError(
                f"{host(self._there.api_url)} is where the experiment {self.session['name']!r} is already; "
                "--to must name another LangSmith"
            )

    def _copy_dataset(self) -> place.Snapshot:
        name = self.options.dataset_name or self._dataset["name"]
        dataset = place.find_dataset(self._there, name, self._dataset["id"])
        dataset = dataset or place.make_dataset(self._there, self._dataset, name)
        version = ((self.session.get("extra") or {}).get("metadata") or {}).get("dataset_version")
        origin = (self._here, self._dataset["id"], version)
        snapshot = place.copy_examples(self._there, self._source, origin, dataset, name)
        if snapshot.further:
            self._warnings.append(
                f"the dataset {name!r} there has {snapshot.further} further example(s), "
                "which this experiment has no runs of"
            )
        return snapshot

    def _shift(self) -> timedelta:
        if not self.options.time_shift or self._index.newest is None:
            return timedelta()
        return choose_shift(min(self._index.starts.values()), self._index.newest, SYSTEM.utcnow())

    def _make_session(self) -> None:
        facts = {
            "source_id": self.session["id"],
            "source_name": self.session["name"],
            "time_shift_seconds": int(self.to.shift.total_seconds()),
            "pushed_at": SYSTEM.utcnow().isoformat(),
        }
        body = session(self.session, self.to, self._snapshot.version, facts)
        post(self._there, "/sessions", body)

    def _warn_of_window(self) -> None:
        limit = SYSTEM.utcnow() - WINDOW
        early = [trace for trace, start in self._index.starts.items() if start + self.to.shift < limit]
        if early:
            self._warnings.append(
                f"{len(early)} of {len(self._index.traces)} traces begin more than 24 h ago, and a service may "
                f"refuse them: {', '.join(self.to.id(trace) for trace in early[:3])}"
            )

    def _warn_of_gaps(self) -> None:
        index, there = self._index, set(self._snapshot.ids)
        if index.open:
            self._warnings.append(
                f"{len(index.open)} of {len(index.runs)} runs have not ended here; push again when they have"
            )
        absent = [one for one in sorted(index.examples) if self.to.example_id(one) not in there]
        if absent:
            self._warnings.append(
                f"there are runs of {len(absent)} example(s) that this version of the dataset does not have, "
                f"and they are pushed without: {', '.join(absent[:3])}"
            )

    def carry_out(self, accepted: Accepted, dispatch: Dispatch, folder: PushFolder) -> Pushed:
        """Send, read back, account."""
        with told(self._there):
            open_there = open_runs(self._there, self.to, self._index, self.newer) if self._known else set()
        dispatch.resume()
        with told(self._here):
            dispatch.build(self._source, self._index, self.to, open_there)
        dispatch.finish()
        self._send_session_feedback(dispatch)
        confirmation = Confirmation(self._there, self._index, self.to, self._snapshot.ids, self.newer)
        confirmation.wait(self.options.visible_deadline, dispatch.refusals)
        if not confirmation.trouble:
            accepted.take_back([*confirmation.runs, *confirmation.feedback])
        pushed = self._account(confirmation, dispatch)
        if pushed.complete:
            folder.forget_spools()
        return pushed

    def _send_session_feedback(self, dispatch: Dispatch) -> None:
        """Send what the destination does not show yet of the experiment's own scores."""
        made = [self.to.feedback(row, None) for row in self._index.session_feedback]
        try:
            params = {"session": [str(self.to.experiment)], "level": "session"}
            there = {row["id"] for row in rows(self._there, "/feedback", params)} if made else set()
            for one in made:
                if one["id"] not in there:
                    post(self._there, "/feedback", one)
                    dispatch.sent["feedback"] += 1
        except (sdk.LangSmithError, requests.RequestException) as error:
            # What has arrived of them all the same is read back, and then it is no hole.
            dispatch.refusals.update((one["id"], f"not taken: {type(error).__name__}") for one in made)

    def _account(self, confirmation: Confirmation, dispatch: Dispatch) -> Pushed:
        index, snapshot = self._index, self._snapshot
        scores = sum(map(len, index.feedback.values())) + len(index.session_feedback)
        pushed = Pushed(
            experiment={"id": str(self.to.experiment), "name": self.to.name, "source_id": self.session["id"]},
            dataset={"id": str(snapshot.id), "name": snapshot.name},
            destination=host(self._there.api_url),
            shift=int(self.to.shift.total_seconds()),
            total={
                "traces": len(index.traces), "runs": len(index.runs), "feedback": scores,
                "examples": len(snapshot.ids),
            },
            sent={**dispatch.sent, "examples": snapshot.added},
            warnings=self._warnings,
        )  # fmt: skip
        if dispatch.foreign:
            pushed.warnings.append(
                f"{dispatch.foreign} run(s) of these traces are left out: they are in another project, or new"
            )
        self._add_holes(pushed, confirmation, dispatch.refusals)
        return pushed

    def _add_holes(self, pushed: Pushed, confirmation: Confirmation, refused: dict[str, str]) -> None:
        examples = dict.fromkeys(confirmation.examples, "")
        missing = {"run": confirmation.runs, "feedback": confirmation.feedback, "example": examples}
        silence = confirmation.trouble or "accepted, but it does not come back"
        half = confirmation.trouble or "it is there, but without its end"
        for kind, ids in missing.items():
            for copied, source_id in ids.items():
                hole = {"kind": kind, "id": copied, "source_id": source_id}
                hole["reason"] = refused.get(copied, half if copied in confirmation.unended else silence)
                (pushed.not_delivered if copied in refused else pushed.not_visible).append(hole)
