"""What a client that sends nothing by itself tells of the runs and scores that it would have sent."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID


class OperationSink(Protocol):
    """Where a `RecordingClient` puts what it would have sent. Called from any thread."""

    def post(self, run: dict[str, Any]) -> None:
        """Take a run that starts."""

    def patch(self, run: dict[str, Any]) -> None:
        """Take a run that ends or changes."""

    def name_feedback(self, run_id: UUID | None, key: str, *, judged: bool, failed: bool) -> UUID | None:
        """Return the id of the next score under `key`, or None for one at random.

        Args:
            judged: it is what an evaluator gave, and not what some code posts by itself.
            failed: it records that the evaluator raised.
        """

    def feedback(self, body: bytes, feedback_id: str, run_id: UUID | None, trace_id: UUID | None) -> bool:
        """Take a score as JSON; False if it cannot ride with the runs and must be sent by itself."""

    def not_taken(self, feedback_id: str, key: str, error: Exception) -> None:
        """Take note that a score which was sent by itself was not taken."""
