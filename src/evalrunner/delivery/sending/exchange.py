"""One request: bytes out, a Reply back."""

from __future__ import annotations

from typing import Protocol

from evalrunner.delivery.sending.reply import Reply
from evalrunner.delivery.sending.retry import Verdict, classify
from evalrunner.delivery.sending.schedule import Batch
from evalrunner.delivery.sending.transport import Answer
from evalrunner.delivery.spool.record import closing
from evalrunner.errors import TransportError


class Transport(Protocol):
    """What the sender needs of `transport.HttpTransport`."""

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool, limit: float) -> Answer:
        """Send one body; raise TransportError if no answer came within `limit` seconds."""


class Exchange:
    """Posts batches that share a boundary."""

    def __init__(self, transport: Transport, boundary: str, *, compress: bool) -> None:
        self._transport, self._boundary, self._compress = transport, boundary, compress
        self._closing = closing(boundary)

    def post(self, batch: Batch, bodies: list[bytes], limit: float) -> Reply:
        """Send the bodies of a batch's records, or the one operation whose turn it is, for `limit` seconds."""
        if batch.at is not None:
            bodies = [bodies[0][batch.op.offset : batch.op.offset + batch.op.length]]
        body = b"".join([*bodies, self._closing])
        try:
            answer = self._transport.post_multipart(
                body, self._boundary, compress=self._compress, limit=limit
            )
        except TransportError as error:
            return Reply(Verdict.TRANSIENT, f"no answer ({error})")
        return reply_to(answer)


def reply_to(answer: Answer) -> Reply:
    """Say what an answer means."""
    words = " ".join("".join(c if c.isprintable() else " " for c in answer.text).split())[:300]
    text = f"server answers {answer.status}" + (f": {words}" if words else "")
    return Reply(classify(answer.status), text, answer.retry_after)
