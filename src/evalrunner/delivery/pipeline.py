"""A worker's way out: trace book -> spool -> sender, wired so that nothing overtakes its own durability.

    TraceBook ──operations──> encode ──> SpoolWriter ──(fdatasync returned)──> books P ──> Sender ──> books A

Only what is durable is offered to the sender: to send first and to sync after would, after a power cut,
leave a run on the server that nobody knows of, and its item would be executed again beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from evalrunner.delivery.forked import renew_in_copies
from evalrunner.delivery.listener import SpoolListener
from evalrunner.delivery.sending.spools import Spool, SpoolSender
from evalrunner.delivery.spool.record import Header, Operation, encode_parts
from evalrunner.delivery.spool.writer import Entry, SpoolWriter
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.reports import ProducedItem

#: Bytes of a spool's segment: a few hundred small items. So much, and what is on its way, is on disk for
#: each worker; a new file costs two fsyncs.
SEGMENT = 2 << 20


class DeliveryPipeline:
    """A spool of this process's own, and the sender to which its records go once they are durable.

    Args:
        path: the spool file, created here.
        info: what the spool's head says about its writer.
        listener: the books; called from the spool's and the sender's threads.
        new_sender: makes the sender for the boundary of the spool, or gives one that there is.

    Attributes:
        sender: to which durable records go. It may serve other spools too, so that it is not stopped here.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: dict[str, Any],
        listener: SpoolListener,
        new_sender: Callable[[str], SpoolSender],
    ) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        renew_in_copies(self, "_lock")
        self._on_their_way = 0  # published, and not offered to the sender yet
        self._spool = SpoolWriter(
            path, info=info, on_durable=self._durable, on_error=self._failed, segment_bytes=SEGMENT
        )
        self._sent = Spool(path, self._spool.boundary, listener)
        self.sender = new_sender(self._spool.boundary)

    @property
    def busy(self) -> bool:
        """Whether something is published that the sender does not have yet."""
        return self._on_their_way > 0

    def publish(self, item: int, token: int, meta: dict[str, Any], operations: list[Operation]) -> None:
        """Append an item's whole trace."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._append(Header(item, token, meta, ops), body)

    def publish_opening(self, item: int, token: int, operations: list[Operation]) -> None:
        """Append the posts with which runs of an item begin (live mode)."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._append(Header(None, None, {"opening": [item, token]}, ops), body)

    def publish_loose(self, operations: list[Operation]) -> None:
        """Append operations that belong to no item."""
        ops, body = encode_parts(self._spool.boundary, operations)
        self._append(Header(None, None, {"about": [asdict(about(one)) for one in operations]}, ops), body)

    def drain(self, grace: float) -> int:
        """Sync the spool, send what is there, wait up to `grace` seconds; return how many are left unsent."""
        self._spool.sync(timeout=60)
        self.sender.flush()
        self.sender.wait_idle(grace)
        return self.sender.pending

    def close(self) -> None:
        """Make everything durable and close the spool; what is unsent stays in it."""
        self._spool.close()

    def _append(self, header: Header, body: bytes) -> None:
        with self._lock:
            self._on_their_way += 1
        try:
            self._spool.append(header, body)
        except BaseException:  # it was not taken
            with self._lock:
                self._on_their_way = max(0, self._on_their_way - 1)
            raise

    def _durable(self, entries: list[Entry]) -> None:
        self._listener.durable(entries)
        self.sender.offer(self._sent, entries)
        with self._lock:
            self._on_their_way -= len(entries)

    def _failed(self, error: Exception) -> None:
        self._listener.failed(error)
        with self._lock:
            self._on_their_way = 0  # it never will be


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
