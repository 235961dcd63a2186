"""One run while it is being built, and its wire form.

A value is serialised when the SDK hands it over, as the SDK itself does: a target that changes its inputs
afterwards must not change what is recorded. Only `extra` waits, because the patch carries it again.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from langsmith import Client
from langsmith.run_trees import RunTree

from evalrunner.delivery.record import Part
from evalrunner.delivery.sdk import dumps_json
from evalrunner.errors import text_of

logger = logging.getLogger(__name__)

JSON = "application/json"
#: What the SDK records as the outputs of a function that raised.
NO_OUTPUTS = b'{"output":null}'
#: Fields that travel as parts of their own (langsmith/_internal/_operations.py:196).
_BIG = ("inputs", "outputs", "events", "error", "serialized")


class RunBuffer:
    """A run between its post and its end; not thread-safe, its owner holds a lock."""

    __slots__ = ("attachments", "big", "ended", "extra", "id", "main", "posted", "trace_id", "trouble")

    def __init__(self, run_id: UUID, trace_id: UUID | None) -> None:
        self.id = run_id
        self.trace_id = trace_id
        self.main: dict[str, Any] = {}
        self.big: dict[str, bytes] = {}
        self.extra: dict[str, Any] | None = None
        self.attachments: dict[str, Any] = {}
        self.ended = False
        #: The server has been told of it (live mode, or it outlived its item): what follows is a patch.
        self.posted = False
        self.trouble: str | None = None

    def post(self, run: dict[str, Any]) -> None:
        """Take what the SDK would have posted; `run` is ours from here on."""
        self._take(run)

    def patch(self, run: dict[str, Any]) -> None:
        """Take what the SDK would have patched."""
        self._take(run)

    def _take(self, run: dict[str, Any]) -> None:
        for name in _BIG:
            value = run.pop(name, None)
            if name == "outputs" and isinstance(value, dict) and not value:
                # The SDK posts these with every run, and patches none where there are none: they stand.
                self.big.setdefault(name, b"{}")
            elif value is not None and (value or name != "events"):
                self._serialise(name, value)
        extra = run.pop("extra", None)
        if extra is not None:
            self.extra = extra
        self.attachments.update(run.pop("attachments", None) or {})
        self.main.update((key, value) for key, value in run.items() if value is not None)
        self.ended = self.ended or self.main.get("end_time") is not None

    def _serialise(self, name: str, value: Any) -> None:
        try:
            self.big[name] = strict(value)
        except BaseException as error:
            # Whatever a user's object raises must not cost the run: without an end it stays pending.
            self.trouble = f"its {name} cannot be serialised: {text_of(error)}"[:500]
            logger.warning("run %s: %s", self.id, self.trouble)
            self.big[name] = dumps_json({"evalrunner_error": self.trouble})
            self.big.setdefault("error", dumps_json(f"evalrunner: {self.trouble}"))

    def fail(self, error: str, end_time: datetime) -> None:
        """End it with an error, because whoever should have ended it is gone."""
        self.big["error"] = dumps_json(error)
        self.big["outputs"] = NO_OUTPUTS
        self.main.setdefault("end_time", end_time.isoformat())
        self.ended = True

    def tree(self, client: Client) -> RunTree:
        """Return it as the SDK's run: what an evaluator sees."""
        big = {name: orjson.loads(data) for name, data in self.big.items() if name != "serialized"}
        return RunTree(**self.main, **big, extra=self.extra or {}, ls_client=client)

    @property
    def error(self) -> str | None:
        """The error's JSON as text, or None."""
        raw = self.big.get("error")
        return None if raw is None else raw.decode("utf-8", "replace")

    def operation(self) -> tuple[str, str, list[Part]]:
        """Return (kind, id, parts): a post of all that is known, or a patch once it was posted.

        A post that already carries end_time and outputs is a complete run: the SDK itself merges post
        and patch this way (langsmith/_internal/_operations.py:244).
        """
        kind = "patch" if self.posted else "post"
        name = f"{kind}.{self.id}"
        parts: list[Part] = [(name, JSON, dumps_json(self.main))]
        parts.extend((f"{name}.{field}", JSON, data) for field, data in self.big.items())
        if self.extra is not None:
            parts.append((f"{name}.extra", JSON, self._extra()))
        parts.extend(self._attachment_parts())
        return kind, str(self.id), parts

    def _extra(self) -> bytes:
        try:
            return strict(self.extra)
        except BaseException as error:
            self.trouble = f"its metadata cannot be serialised: {text_of(error)}"[:500]
            return dumps_json({"metadata": {"evalrunner_error": self.trouble}})

    def _attachment_parts(self) -> list[Part]:
        parts: list[Part] = []
        for name, value in self.attachments.items():
            mime, data = value if isinstance(value, tuple) else (_of(value, "mime_type"), _of(value, "data"))
            # A path would have to be read here; the SDK refuses paths unless it is told otherwise, and it
            # skips names with a dot.
            if (
                isinstance(data, bytes)
                and isinstance(mime, str)
                and isinstance(name, str)
                and "." not in name
            ):
                parts.append((f"attachment.{self.id}.{name}", mime, data))
            else:
                self.trouble = f"its attachment {name!r} is not (mime type, bytes) under a name without a dot"
        self.attachments = {}
        return parts


def _of(value: Any, name: str) -> Any:
    return getattr(value, name, None)


def strict(value: Any) -> bytes:
    """Return the SDK's JSON of a value, or, where that is none, JSON that every parser takes.

    Where a value holds a lone surrogate, the SDK falls back to the standard library's encoder and cuts what
    looks like a surrogate out of the text (langsmith/_internal/_serde.py:254): that leaves a bare NaN, and may
    leave half of an escaped backslash. The service refuses both, and with them the run.
    """
    data = dumps_json(value)
    if b"\\" not in data and b"NaN" not in data and b"Infinity" not in data:
        return data
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        text = json.dumps(value, default=repr, ensure_ascii=False).encode("utf-8", "replace")
        return orjson.dumps(json.loads(text, parse_constant=lambda _: None))
    return data


def error_run(
    run_id: UUID,
    *,
    name: str,
    inputs: dict[str, Any],
    error: str,
    example_id: str,
    project: str,
    project_id: UUID,
    at: datetime,
    metadata: dict[str, Any],
) -> RunBuffer:
    """Make the root run of an item that has none of its own: complete, with an error, linked to its example.

    Args:
        project, project_id: the experiment's name and id; the id counts where the name has changed.
        at: aware time in UTC; the run starts and ends there.
    """
    run = RunBuffer(run_id, run_id)
    run.post(
        {
            "id": run_id,
            "trace_id": run_id,
            # The SDK's own form (run_trees.py:1599): start time, then the id.
            "dotted_order": at.strftime("%Y%m%dT%H%M%S%fZ") + str(run_id),
            "name": name,
            "run_type": "chain",
            "inputs": inputs,
            "outputs": {"output": None},
            "error": error,
            "start_time": at.isoformat(),
            "end_time": at.isoformat(),
            "session_name": project,
            "session_id": str(project_id),
            "reference_example_id": example_id,
            "extra": {"metadata": metadata},
        }
    )
    return run
