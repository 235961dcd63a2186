"""From what an experiment is here to what its copy is there: ids and times rewritten, nothing else. Pure.

Every id of the copy is a function of the copy's experiment (or dataset) and the original's id, so that a push
that begins again, even without its folder, names the same runs. Original ids are never kept: whether a
service knows one already can change between two pushes, and a function of what it answers would not be one.
All times of the experiment move by one constant.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec
import orjson

from evalrunner.delivery.spool.record import JSON, Operation, Part
from evalrunner.protocol.ids import pushed_id
from evalrunner.transfer.files.times import read_moment
from evalrunner.transfer.remote.reads import Run, value_of
from evalrunner.transfer.upload.moments import moment, segment
from evalrunner.transfer.upload.rewrite import APART, Raws, join, moved_in
from evalrunner.transfer.upload.shift import ROOM, SECOND, Extent

#: Key of our facts in the metadata of the dataset and the experiment there.
FACTS = "evalrunner_push"
#: How far before now the newest run is put; microseconds, as all times here.
MARGIN = 60 * SECOND

#: Of a feedback: what is not pushed, and the times in it.
_DROPPED = ("comparative_experiment_id", "feedback_group_id")
_MOVED = ("created_at", "modified_at", "start_time")
_UUID_LENGTH = 36
_NULL = b"null"
_objects = msgspec.json.Decoder(list[Raws])

Files = Mapping[str, tuple[str, bytes]]
"""Attachments: name -> (type, bytes)."""


def choose_shift(extent: Extent, now: int) -> int:
    """Return by how much the times move: not at all if every run would be taken as it is.

    Args:
        extent: of all traces.
        now: when the push begins.
    """
    if extent.oldest >= now - ROOM and extent.newest <= now:
        return 0
    # Whole seconds: the constant stands in the metadata, and is read by people.
    return (now - MARGIN - extent.newest) // SECOND * SECOND


@dataclass(frozen=True)
class Rewriting:
    """How one experiment is rewritten for one destination.

    Attributes:
        experiment, name: of the copy.
        dataset: of the copy.
        shift: added to every time.
        known: original run ids that are pushed; others are left alone where they are mentioned.
    """

    experiment: UUID
    name: str
    dataset: UUID
    shift: int
    known: Container[str]

    def id(self, source: str) -> str:
        """Return the copy's id of a run or a feedback."""
        return str(pushed_id(self.experiment, source))

    def example_id(self, source: str) -> str:
        """Return the copy's id of an example."""
        return str(pushed_id(self.dataset, source))

    def time(self, text: str) -> str:
        """Return a time, moved."""
        return moment(read_moment(text) + self.shift)

    def dotted_order(self, text: str) -> str:
        """Return a run's place in its trace, rewritten segment by segment."""
        return ".".join(self._segment(segment) for segment in text.split("."))

    def _segment(self, text: str) -> str:
        when, run_id = text[:-_UUID_LENGTH], text[-_UUID_LENGTH:]
        return segment(read_moment(when) + self.shift, self.id(run_id))

    def run(
        self,
        run: Run,
        project: str | None,
        files: Files,
        kind: Literal["post", "patch"] = "post",
    ) -> Operation:
        """Return the operation that creates the copy of a run.

        Args:
            run: as it is read.
            project: of an evaluator's run; None for one of the experiment.
            files: its attachments.
            kind: "patch" if it is there already, without its end.
        """
        run_id = self.id(run.id)
        parts: list[Part] = [(f"{kind}.{run_id}", JSON, join(self._main(run, run_id, project or self.name)))]
        for name in APART:
            if (data := value_of(run, name)) != _NULL:
                data = self._events(data) if name == "events" else data
                parts.append((f"{kind}.{run_id}.{name}", JSON, data))
        parts += [(f"attachment.{run_id}.{name}", mime, data) for name, (mime, data) in files.items()]
        return kind, run_id, parts

    def _main(self, run: Run, run_id: str, project: str) -> Raws:
        told: dict[str, str | None] = {
            "id": run_id,
            "trace_id": self.id(run.trace_id),
            "dotted_order": self.dotted_order(run.dotted_order or ""),
            "session_name": project,
            "run_type": run.run_type,
            "start_time": self.time(run.start_time),
            "end_time": self.time(run.end_time) if run.end_time else None,
            "parent_run_id": self.id(run.parent_run_id) if run.parent_run_id else None,
        }
        main = {name: _raw(value) for name, value in told.items() if value is not None}
        for name in ("name", "tags"):
            if (data := value_of(run, name)) != _NULL:
                main[name] = msgspec.Raw(data)
        if example := msgspec.json.decode(run.reference_example_id, type=str | None):
            main["reference_example_id"] = _raw(self.example_id(example))
        return main

    def _events(self, data: bytes) -> bytes:
        """Move the times that are texts: a target may write there what it likes."""
        try:
            told = _objects.decode(data)
        except msgspec.MsgspecError:
            return data
        texts = [("time",) if bytes(one.get("time", b"")).startswith(b'"') else () for one in told]
        return b"[" + b",".join(moved_in(*both, self.shift) for both in zip(told, texts, strict=True)) + b"]"

    def feedback(self, row: Raws, trace_id: str | None) -> tuple[str, bytes]:
        """Return the copy of a feedback: its id, and what creates it.

        Args:
            row: as it is read.
            trace_id: the original trace of its run; None for feedback of the experiment itself.
        """
        new = self.id(_text(row["id"]))
        made = {name: raw for name, raw in row.items() if name not in _DROPPED and bytes(raw) != _NULL}
        made |= {"id": _raw(new), "session_id": _raw(str(self.experiment))}
        if trace_id is not None:
            made |= {"run_id": _raw(self.id(_text(row["run_id"]))), "trace_id": _raw(self.id(trace_id))}
        source: Any = orjson.loads(bytes(row["feedback_source"])) if "feedback_source" in row else None
        judge = evaluator_run({"feedback_source": source})
        if judge in self.known:
            source["metadata"]["__run"]["run_id"] = self.id(str(judge))
            made["feedback_source"] = _raw(source)
        return new, moved_in(made, _MOVED, self.shift)

    def feedback_operation(self, row: Raws, trace_id: str) -> Operation:
        """Return the operation that creates the copy of a run's feedback."""
        new, body = self.feedback(row, trace_id)
        return "feedback", new, [(f"feedback.{new}", JSON, body)]


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(orjson.dumps(value))


def _text(raw: msgspec.Raw) -> str:
    return msgspec.json.decode(raw, type=str)


def evaluator_run(row: Mapping[str, Any]) -> str | None:
    """Return the run of the evaluator that gave a feedback, where it says so."""
    source = row.get("feedback_source")
    metadata = source.get("metadata") if isinstance(source, dict) else None
    told = metadata.get("__run") if isinstance(metadata, dict) else None
    found = told.get("run_id") if isinstance(told, dict) else None
    return str(found) if found else None


def example(row: Mapping[str, Any], example_id: str, files: Files) -> dict[str, Any]:
    """Return an example as it is created there; its time of creation keeps the dataset's order."""
    metadata = dict(row.get("metadata") or {})
    split = metadata.pop("dataset_split", None)
    made = {
        "id": example_id,
        "inputs": row.get("inputs") or {},
        "reference_outputs": row.get("outputs"),
        "metadata": metadata,
        "split": split,
        "created_at": row.get("created_at"),
        "attachments": dict(files) or None,
    }
    return {name: value for name, value in made.items() if value is not None}


def same_example(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two examples say the same, whatever their ids and times."""
    names = ("inputs", "outputs", "metadata")
    files = [sorted(row.get("attachment_urls") or {}) for row in (one, other)]
    return files[0] == files[1] and all((one.get(name) or {}) == (other.get(name) or {}) for name in names)


def _shareable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Leave out the flags of the run, which name paths of this machine, and who runs it: nobody runs the copy."""
    kept = {name: value for name, value in metadata.items() if name != "evalrunner_owner"}
    ours = kept.get("evalrunner")
    if not isinstance(ours, dict):
        return kept
    return {**kept, "evalrunner": {name: value for name, value in ours.items() if name != "flags"}}


def session(source: Mapping[str, Any], to: Rewriting, version: str | None, facts: Any) -> dict[str, Any]:
    """Return the experiment as it is created there.

    Args:
        source: the session as it is read.
        version: of the dataset there.
        facts: what is said of the push, for people and for a push that goes on.
    """
    extra = dict(source.get("extra") or {})
    extra["metadata"] = {**_shareable(extra.get("metadata") or {}), FACTS: facts}
    if version:
        extra["metadata"]["dataset_version"] = version
    body = {
        "id": str(to.experiment),
        "name": to.name,
        "reference_dataset_id": str(to.dataset),
        "extra": extra,
        **{name: to.time(source[name]) for name in ("start_time", "end_time") if source.get(name)},
        **{name: source.get(name) for name in _SESSION},
    }
    return {name: value for name, value in body.items() if value is not None}


_SESSION = ("description", "num_examples", "num_repetitions", "evaluator_keys")
