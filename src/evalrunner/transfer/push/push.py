"""Pushing an experiment to another LangSmith: read here, rewritten, sent as an upload is, read back there.

    source ── survey ──> index (runs, traces) ── shift ──> dataset and experiment there
    index ── plan ──> operations, built from the source again ── outbox ──> read back ──> summary

The same command goes on after whatever ended it: what is there already is asked for by id, and only the rest is sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
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
from evalrunner.transfer.push.confirm import Beside, Copy, holes
from evalrunner.transfer.push.plan import Plan, Runs
from evalrunner.transfer.push.remarks import remarks
from evalrunner.transfer.push.source import Source
from evalrunner.transfer.push.state import opened
from evalrunner.transfer.push.summary import Pushed, PushOptions
from evalrunner.transfer.push.survey import Survey
from evalrunner.transfer.push.transform import Rewriting, choose_shift, session
from evalrunner.transfer.remote.asking import Asking
from evalrunner.transfer.remote.calls import get, post
from evalrunner.transfer.upload.confirm import Confirmer, patiently
from evalrunner.transfer.upload.dispatch import Dispatch
from evalrunner.transfer.upload.index import Index, State, writing
from evalrunner.transfer.upload.outbox import Outbox
from evalrunner.transfer.upload.rewrite import Raws
from evalrunner.transfer.upload.scan import extent
from evalrunner.transfer.upload.shift import SECOND
from evalrunner.verify import transfers
from evalrunner.verify.codes import Code, Finding


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
        experiment = str(find_experiment(here, options.experiment).id)
        found = get(here, f"/sessions/{experiment}")
    asking = Asking(make_client(origin, retries=0), deadline=options.delivery_deadline, note=note)
    source = Source(asking, experiment)
    with opened(options.root, found["id"], to, options.experiment_name or found["name"]) as index:
        errand = _Errand(here, there, source, options, found, index)
        with told(here):
            errand.survey()
        with writing(index.path, begun=True):
            with told(there):
                errand.prepare()
            return errand.carry_out(to, info, note)


class _Errand:
    """One push, step by step."""

    to: Rewriting
    _known = False  # an earlier push has made the experiment there
    _snapshot: place.Snapshot

    def __init__(
        self,
        here: Client,
        there: Client,
        source: Source,
        options: PushOptions,
        found: dict[str, Any],
        index: Index,
    ) -> None:
        self._here, self._there, self._source, self.options = here, there, source, options
        self.session, self._index = found, index
        self._own: list[Raws] = []
        self._findings: list[Finding] = []

    def survey(self) -> None:
        """Look at what there is here."""
        self._dataset = get(self._here, f"/datasets/{self.session['reference_dataset_id']}")
        Survey(self._here, self.session["id"], self._index).carry_out()
        self._own = self._source.own_feedback()

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
        shift = place.shift_of(known) * SECOND if known else self._shift()
        self._known = known is not None
        self.to = Rewriting(experiment, name, self._snapshot.id, shift, Runs(self._index))
        if known is None:
            self._make_session()
        self._findings += remarks(self._index, self.to, _now())

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
        snapshot = place.copy_examples(self._there, self._source, origin, dataset, name, self._index)
        if snapshot.further:
            self._findings.append(transfers.examples_further(name, snapshot.further))
        return snapshot

    def _shift(self) -> int:
        times = extent(self._index)
        return choose_shift(times, _now()) if self.options.time_shift and times else 0

    def _make_session(self) -> None:
        facts = {
            "source_id": self.session["id"],
            "source_name": self.session["name"],
            "time_shift_seconds": self.to.shift // SECOND,
            "pushed_at": SYSTEM.utcnow().isoformat(),
        }
        body = session(self.session, self.to, self._snapshot.version, facts)
        post(self._there, "/sessions", body)

    def carry_out(self, to: Endpoint, info: dict[str, Any], note: Callable[[str], None]) -> Pushed:
        """Send, read back, account."""
        plan = Plan(self._source, self._index, self.to)
        names = [row[0] for row in self._index.db.execute("SELECT DISTINCT project FROM elsewhere")]
        there = Copy(self._there, plan.project, names, newer=only_newer_reads(info))
        confirmer = Confirmer(self._index, plan, there)
        dispatch = Dispatch(self._index, plan, confirmer, note)
        with told(self._there):
            dispatch.look_for_known(self._known)
        outbox = Outbox(
            lambda: HttpTransport(to.url, to.key, workspace=to.workspace),
            compress=takes_zstd(info),
            deadline=self.options.delivery_deadline,
            note=note,
        )
        with contextlib.closing(outbox):
            dispatch.send(outbox)
        beside, posted = self._send_beside()

        def look() -> bool:
            traces = confirmer.look(State.ACCEPTED, dispatch.tell_confirming)
            return beside.look() and traces

        patiently(look, self.options.visible_deadline)
        pushed = self._summary({"traces": dispatch.accepted, **outbox.sent}, posted, plan.foreign)
        self._account(pushed, plan, confirmer, beside)
        if not (
            pushed.sent["runs"] or pushed.not_delivered
        ):  # what the service might refuse is there already
            pushed.findings = [one for one in pushed.findings if one.code is not Code.RUNS_EARLY]
        return pushed

    def _send_beside(self) -> tuple[Beside, int]:
        """Send what the destination does not show yet of the experiment's own scores; return how many."""
        made = {}
        sources = {}
        for row in self._own:
            one, body = self.to.feedback(row, None)
            made[one], sources[one] = msgspec.json.decode(body), msgspec.json.decode(row["id"], type=str)
        beside = Beside(self._there, self._index, self._snapshot.id, str(self.to.experiment), sources)
        sent = 0
        try:
            there = {row["id"] for row in beside.own_feedback()} if made else set()
            for one in made.keys() - there:
                post(self._there, "/feedback", made[one])
                sent += 1
        except (sdk.LangSmithError, requests.RequestException) as error:
            # What has arrived of them all the same is read back, and then it is no hole.
            beside.refused.update((one, f"not taken: {type(error).__name__}") for one in made)
        return beside, sent

    def _summary(self, sent: dict[str, int], posted: int, foreign: int) -> Pushed:
        snapshot = self._snapshot
        traces, runs, _ = self._index.count("1")
        rated = self._index.db.execute("SELECT count(*) FROM rated").fetchone()[0]
        pushed = Pushed(
            experiment={"id": str(self.to.experiment), "name": self.to.name, "source_id": self.session["id"]},
            dataset={"id": str(snapshot.id), "name": snapshot.name},
            destination=host(self._there.api_url),
            shift=self.to.shift // SECOND,
            total={
                "traces": traces, "runs": runs, "feedback": rated + len(self._own),
                "examples": snapshot.total,
            },
            sent={
                "traces": sent["traces"], "runs": sent["runs"], "feedback": sent["feedback"] + posted,
                "examples": snapshot.added,
            },
            findings=self._findings,
        )  # fmt: skip
        if foreign:
            pushed.findings.append(transfers.runs_left_out(foreign))
        return pushed

    def _account(self, pushed: Pushed, plan: Plan, confirmer: Confirmer, beside: Beside) -> None:
        for hole in beside.missing():
            refused = hole["id"] in beside.refused
            (pushed.not_delivered if refused else pushed.not_visible).append(hole)
        pushed.not_delivered += holes(plan, confirmer, State.REFUSED)
        pushed.not_visible += holes(plan, confirmer, State.ACCEPTED)


def _now() -> int:
    return int(SYSTEM.utcnow().timestamp() * SECOND)
