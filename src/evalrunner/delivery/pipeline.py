"""A worker's way out: trace book -> spool -> sender, wired so that nothing overtakes its own durability.

    TraceBook ──operations──> encode ──> SpoolWriter ──(fdatasync returned)──> books P ──> Sender ──> books A

Only what is durable is offered to the sender: to send first and to sync after would, after a power cut,
leave a run on the server that nobody knows of, and its item would be executed again beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from evalrunner.delivery.capture.traces import Operation
from evalrunner.delivery.sending.sender import Sender
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import Entry, LastFile, SpoolWriter, segment_path
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.messages import ProducedItem

#: Bytes of a spool's segment: a few hundred small items. So much, and what is on its way, is on disk for
#: each worker; a new file costs two fsyncs.
SEGMENT = 2 << 20


class DeliveryPipeline:
    """Spool and sender of one process.

    Args:
        path: the spool file, created here.
        info: what the spool's head says about its writer.
        transport: to the endpoint.
        on_durable, on_accepted, on_refused, on_note: the books; called from the spool's and sender's threads.
        on_error: the spool cannot be written any more; the process should end.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: dict[str, Any],
        transport: HttpTransport,
        compress: bool,
        deadline: float,
        on_durable: Callable[[list[Entry]], None],
        on_accepted: Callable[[list[Entry]], None],
        on_refused: Callable[[Entry, str], None],
        on_note: Callable[[str], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._on_durable = on_durable
        self._path, self._last = path, LastFile()
        self._spool = SpoolWriter(
            path, info=info, on_durable=self._durable, on_error=on_error, segment_bytes=SEGMENT
        )
        self.sender = Sender(
            transport,
            lambda entry: self._last.body(segment_path(path, entry.segment), entry),
            self._spool.boundary,
            on_accepted=on_accepted,
            on_refused=on_refused,
            on_note=on_note,
            compress=compress,
            # A request costs the worker and the server about a millisecond each: slow items share one.
            linger=0.25,
            deadline=deadline,
        )

    def publish(self, item: int, token: int, meta: dict[str, Any], operations: list[Operation]) -> None:
        """Append an item's whole trace."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._spool.append(Header(item, token, meta, ops), body)

    def publish_opening(self, item: int, token: int, operations: list[Operation]) -> None:
        """Append the posts with which runs of an item begin (live mode)."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._spool.append(Header(None, None, {"opening": [item, token]}, ops), body)

    def publish_loose(self, operations: list[Operation]) -> None:
        """Append operations that belong to no item."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._spool.append(
            Header(None, None, {"about": [asdict(about(one)) for one in operations]}, ops), body
        )

    def _durable(self, entries: list[Entry]) -> None:
        self._on_durable(entries)
        self.sender.offer(entries)

    def drain(self, grace: float) -> int:
        """Sync the spool, send what is there, wait up to `grace` seconds; return how many are left unsent."""
        self._spool.sync(timeout=60)
        self.sender.flush()
        self.sender.wait_idle(grace)
        return len(self.sender.undelivered())

    def close(self) -> None:
        """Stop sending and close the files; what is unsent stays in the spool."""
        self.sender.stop()
        self._spool.close()
        self._last.close()


def about(operation: Operation) -> About:
    """Say what an operation is, for the book of what belongs to no item."""
    kind, op_id, parts = operation
    try:
        main: dict[str, Any] = orjson.loads(parts[0][2])
    except (IndexError, orjson.JSONDecodeError):
        return About(kind, op_id)
    if kind == "feedback":
        return About(kind, op_id, str(main.get("key") or ""), run=str(main.get("run_id") or ""))
    name, project = str(main.get("name") or ""), str(main.get("session_name") or "")
    return About(kind, op_id, name, project, ended=main.get("end_time") is not None)


def loose_record(entry: Entry, state: LooseState, reason: str = "") -> LooseRecord:
    """Return the news of a record that belongs to no item."""
    told = entry.header.meta.get("about") or [asdict(About(op.kind, op.id)) for op in entry.header.ops]
    abouts = [About(**each) for each in told]
    return LooseRecord(entry.seq, state, reason, abouts, entry.segment)


def produced_item(entry: Entry) -> ProducedItem | None:
    """Read an item's report out of its spool record; None for a record that is no item's."""
    header = entry.header
    if header.item is None or header.token is None:
        return None
    place = {"segment": entry.segment, "seq": entry.seq}
    return ProducedItem.from_json({"item": header.item, "token": header.token, **header.meta, **place})
