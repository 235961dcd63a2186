"""A project with everything that a run can have, sent as bytes of our choosing, to be compared with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
import requests

from tests.support.backend import BOUNDARY, body, part
from tests.support.rig import Backend

OLD = datetime(2024, 5, 1, 12, 0, tzinfo=timezone.utc)
RUN_TYPES = ("chain", "llm", "tool", "retriever", "embedding", "prompt", "parser")
#: What a reader that goes through floats, or escapes anew, would give back changed.
ODD = (
    b'{"one":1.0,"big":1180591620717411303424,"small":1e-7,"zero":-0.0,"deep":[[{"a":[]}]],'
    b'"text":"\xc3\xa9\xf0\x9f\xa6\x9c \\u00e9 \xe2\x80\xae \\u2028\xe2\x80\xa8 \\n\\t","":null}'
)
APART = ("inputs", "outputs", "extra", "error", "events", "serialized")
FILES = {"plot.png": ("image/png", b"\x89PNG\x00\x01\xff" * 100_000), "notes": ("text/plain", "é".encode())}


@dataclass
class Sent:
    """One run as it was sent: the fields of its main part, and the bytes of the others."""

    main: dict[str, Any]
    apart: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    feedback: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(self.main["id"])

    def parts(self) -> list[bytes]:
        """Its parts, as the SDK sends them."""
        found = [part(f"post.{self.id}", self.main)]
        found += [part(f"post.{self.id}.{name}", raw) for name, raw in self.apart.items()]
        found += [
            part(f"attachment.{self.id}.{name}", data, mime) for name, (mime, data) in self.files.items()
        ]
        return found + [part(f"feedback.{row['id']}", row) for row in self.feedback]


def run(
    project: str, at: datetime, parent: Sent | None = None, *, seconds: float | None = 2.0, **main: Any
) -> Sent:
    """A run that begins at a time; `seconds` None leaves it open."""
    run_id = str(uuid.uuid4())
    segment = f"{at.strftime('%Y%m%dT%H%M%S%fZ')}{run_id}"
    fields = {
        "id": run_id,
        "name": "n",
        "run_type": "chain",
        "session_name": project,
        "start_time": at.isoformat(),
    }
    if seconds is not None:
        fields["end_time"] = (at + timedelta(seconds=seconds)).isoformat()
    if parent is None:
        return Sent({**fields, "trace_id": run_id, "dotted_order": segment, **main})
    place = f"{parent.main['dotted_order']}.{segment}"
    above = {"trace_id": parent.main["trace_id"], "parent_run_id": parent.id, "dotted_order": place}
    return Sent({**fields, **above, **main})


def rated(one: Sent, key: str, **more: Any) -> None:
    """Give a run a feedback."""
    row = {"id": str(uuid.uuid4()), "key": key, "run_id": one.id, "trace_id": one.main["trace_id"], **more}
    one.feedback.append(row)


def whole(project: str) -> list[Sent]:
    """Runs of two ordinary traces and an orphan, with all that a run can say."""
    root = run(project, OLD, name="agent ünïcode\u202e", tags=["a", "é"])
    root.apart = {"inputs": ODD, "outputs": b'{"answer": 42.0,\n "n": [1.50]}', "serialized": b'{"lc":1}'}
    root.apart["extra"] = b'{"metadata":{"ratio":1.0,"n":9007199254740993},"runtime":{"sdk":"x"}}'
    root.files = dict(FILES)
    found, above = [root], root
    for number, kind in enumerate(RUN_TYPES * 2):
        child = run(project, OLD + timedelta(milliseconds=number * 10), above, run_type=kind, name=kind)
        child.apart["inputs"] = b'{"i":%d}' % number
        found.append(child)
        above = child if number < 8 else root
    found[1].apart["error"] = orjson.dumps("Traceback:\n  é \x07")
    found[2].apart["events"] = orjson.dumps(
        [{"name": "new_token", "time": OLD.isoformat(), "kwargs": {"t": 1.0}}]
    )
    rated(
        root,
        "right",
        score=0.5,
        comment="weil\nüber",
        feedback_source={"type": "model", "metadata": {"a": 1}},
    )
    rated(root, "label", value={"k": [1]}, correction={"text": "x"})
    rated(found[3], "child", score=True, created_at="2024-05-01T14:00:00+05:30")
    late = run(project, OLD - timedelta(hours=1), seconds=None, name="open")
    late.apart = {"inputs": b"{}"}
    lost = run(project, OLD + timedelta(hours=1), found[-1], name="orphan")
    lost.main |= {"trace_id": str(uuid.uuid4()), "parent_run_id": str(uuid.uuid4())}
    lost.main["dotted_order"] = (
        f"20240501T120000000000Z{lost.main['trace_id']}.20240501T120000000000Z{lost.main['parent_run_id']}."
        f"20240501T130000000000Z{lost.id}"
    )
    return [*found, late, lost]


def send(backend: Backend, runs: list[Sent]) -> None:
    """Send them, children first: the service takes any order."""
    for start in range(0, len(runs), 500):
        parts = [one for sent in reversed(runs[start : start + 500]) for one in sent.parts()]
        headers = {"x-api-key": backend.token, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = requests.post(
            f"{backend.url}/runs/multipart", data=body(*parts), headers=headers, timeout=120
        )
        assert answer.status_code == 202, answer.text
