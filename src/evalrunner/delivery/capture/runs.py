"""One run while it is being built, and its wire form.

A value is serialised when the SDK hands it over, as the SDK itself does: a target that changes its inputs
afterwards must not change what is recorded. Only `extra` waits, because the patch carries it again.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from langsmith import Client
from langsmith.run_trees import RunTree

from evalrunner.delivery.capture.fitting import fit, is_uuid, shaped, text_from
from evalrunner.delivery.capture.sdk import RUN_TYPES, dumps_json
from evalrunner.delivery.spool.record import JSON, Operation, Part
from evalrunner.errors import text_of
from evalrunner.protocol.values import MOST_BYTES, UnfitError

logger = logging.getLogger(__name__)

#: What the SDK records as the outputs of a function that raised.
NO_OUTPUTS = b'{"output":null}'
#: Fields that travel as parts of their own (langsmith/_internal/_operations.py:196).
_BIG = ("inputs", "outputs", "events", "error", "serialized")


#: Bytes of one value of the metadata.
_MOST_OF_A_FACT = 1_048_576


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
            self.big[name] = shaped(name, fit(value))
        except BaseException as error:
            # Whatever a user's object raises must not cost the run: without an end it stays pending.
            self.big.pop(name, None)
            self._give_up(name, error)
        if len(self.big[name]) > MOST_BYTES:
            self._give_up_large(name)

    def _give_up(self, name: str, error: BaseException) -> None:
        self._note(name, error)
        if name != "error":
            self.big[name] = shaped(name, dumps_json({"evalrunner_error": self.trouble}))
        self.big.setdefault("error", dumps_json(f"evalrunner: {self.trouble}"))

    def _give_up_large(self, name: str) -> None:
        if name == "error":
            said = str(orjson.loads(self.big[name]))[:1000]
            self.big[name] = dumps_json(f"{said}... (cut: it was too large to be sent)")
        else:
            whole, own = sum(map(len, self.big.values())), len(self.big[name])
            with_rest = f", {whole} with the rest of the run" if own <= MOST_BYTES else ""
            self._give_up(name, UnfitError(f"{own} bytes{with_rest}, and a run may have {MOST_BYTES}"))

    def _fit_together(self) -> None:
        while sum(map(len, self.big.values())) > MOST_BYTES:
            self._give_up_large(max(self.big, key=lambda name: len(self.big[name])))

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

    def operation(self) -> Operation:
        """Return (kind, id, parts): a post of all that is known, or a patch once it was posted.

        A post that already carries end_time and outputs is a complete run: the SDK itself merges post
        and patch this way (langsmith/_internal/_operations.py:244).
        """
        self._fit_together()
        kind = "patch" if self.posted else "post"
        name = f"{kind}.{self.id}"
        parts: list[Part] = [(name, JSON, self._main())]
        parts.extend((f"{name}.{field}", JSON, data) for field, data in self.big.items())
        if self.extra is not None:
            parts.append((f"{name}.extra", JSON, self._extra()))
        parts.extend(self._attachment_parts())
        return kind, str(self.id), parts

    def _main(self) -> bytes:
        self._make_texts()
        try:
            return fit(self.main)
        except BaseException:
            return orjson.dumps(self._fit(self.main, ""))

    def _make_texts(self) -> None:
        # A target may call a run, and tag it, as it likes; the service takes texts, and would answer 422 to the run
        # and to all that share its request.
        for name in ("name", "session_name"):
            if not isinstance(self.main.get(name, ""), str):
                self.main[name] = text_from(self.main[name])
        tags = self.main.get("tags")
        if tags is not None and not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            self.main["tags"] = [
                text_from(tag) for tag in (tags if isinstance(tags, (list, tuple, set)) else [tags])
            ]
        for name in ("parent_run_id", "reference_example_id", "trace_id"):
            if self.main.get(name) is not None and not is_uuid(self.main[name]):
                self._say(f"its {name} {text_from(self.main.pop(name))!r} is no id: left out")
        kind = self.main.get("run_type", "chain")
        if not isinstance(kind, str) or kind not in RUN_TYPES:
            self.main["run_type"] = "chain"
            self._say(f"its run_type {text_from(kind)!r} is none of the service's: sent as 'chain'")

    def _extra(self) -> bytes:
        extra = self.extra if isinstance(self.extra, dict) else {"extra": self.extra}
        try:
            data = fit(extra)
            if len(data) <= _MOST_OF_A_FACT:
                return data
        except BaseException:
            logger.debug("run %s: part of its metadata cannot be sent", self.id)
        # One value must not cost the facts beside it: which repetition this is, and of which attempt.
        kept = self._fit({name: value for name, value in extra.items() if name != "metadata"}, "extra.")
        metadata = extra.get("metadata")
        facts = self._fit(metadata if isinstance(metadata, dict) else {}, "metadata.")
        facts["evalrunner_error"] = self.trouble
        return orjson.dumps({**kept, "metadata": facts})

    def _fit(self, values: dict[str, Any], what: str) -> dict[str, Any]:
        """Return those of `values` that can be sent, as JSON; note the others."""
        kept: dict[str, Any] = {}
        for name, value in values.items():
            try:
                data = fit(value)
                if len(data) > _MOST_OF_A_FACT:
                    raise UnfitError(f"{len(data)} bytes, and metadata may have {_MOST_OF_A_FACT}")  # noqa: TRY301
                kept[text_from(name)] = orjson.Fragment(data)
            except BaseException as error:
                self._note(f"{what}{text_from(name)}", error)
        return kept

    def _note(self, what: str, error: BaseException) -> None:
        said = str(error) if isinstance(error, UnfitError) else text_of(error)
        self._say(f"its {what} cannot be serialised: {said}")

    def _say(self, trouble: str) -> None:
        self.trouble = trouble[:500]
        logger.warning("run %s: %s", self.id, self.trouble)

    def _attachment_parts(self) -> list[Part]:
        parts: list[Part] = []
        left = MOST_BYTES - sum(map(len, self.big.values()))
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
                left -= len(data)
                if left < 0:
                    self._say(f"its attachment {name!r} was left out: a run may have {MOST_BYTES} bytes")
                    continue
                parts.append((f"attachment.{self.id}.{name}", mime, data))
            else:
                self.trouble = f"its attachment {name!r} is not (mime type, bytes) under a name without a dot"
        self.attachments = {}
        return parts


def _of(value: Any, name: str) -> Any:
    return getattr(value, name, None)
