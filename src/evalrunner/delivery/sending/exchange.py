"""One request and what was made of it, in the sender's words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evalrunner.delivery.sending.retry import Verdict, classify
from evalrunner.delivery.sending.schedule import Batch
from evalrunner.delivery.sending.transport import Answer
from evalrunner.delivery.spool.record import closing
from evalrunner.errors import TransportError


class Transport(Protocol):
    """What the sender needs of `transport.HttpTransport`."""

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool, limit: float) -> Answer:
        """Send one body; raise TransportError if no answer came within `limit` seconds."""


@dataclass(frozen=True)
class Reply:
    """What the service made of a request.

    Attributes:
        text: its words, for people, or why there are none.
        retry_after: seconds that it asks to be left alone, or None.
    """

    verdict: Verdict
    text: str
    retry_after: float | None = None

    @property
    def final(self) -> bool:
        """Whether the same bytes need not be sent again."""
        return self.verdict in (Verdict.ACCEPTED, Verdict.CONFLICT, Verdict.TOO_LARGE, Verdict.REFUSED)

    @property
    def blames_the_load(self) -> bool:
        """Whether it may be the fault of what was sent; 401 and 429 never are."""
        return self.verdict in (Verdict.TRANSIENT, Verdict.UNAVAILABLE)

    def refusal(self, batch: Batch) -> str:
        """Say of a batch's next operation why it will never be taken."""
        what = f"{batch.op.kind} {batch.op.id} ({batch.op.length:,} bytes)"
        if self.verdict is Verdict.TOO_LARGE:
            return f"413: {what} is too large"
        return f"{what}: {self.text}"


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
        words = " ".join("".join(c if c.isprintable() else " " for c in answer.text).split())[:300]
        text = f"server answers {answer.status}" + (f": {words}" if words else "")
        return Reply(classify(answer.status), text, answer.retry_after)
