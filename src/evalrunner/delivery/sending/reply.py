"""What was made of one request, in the sender's words."""

from __future__ import annotations

from dataclasses import dataclass

from evalrunner.delivery.sending.retry import Verdict
from evalrunner.delivery.spool.record import Op


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

    def refusal(self, op: Op) -> str:
        """Say of a single operation why it will never be taken."""
        what = f"{op.kind} {op.id} ({op.length:,} bytes)"
        if self.verdict is Verdict.TOO_LARGE:
            return f"413: {what} is too large"
        return f"{what}: {self.text}"
