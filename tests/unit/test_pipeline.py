"""What is on its way to the sender is counted, whatever becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalrunner.delivery.pipeline import DeliveryPipeline
from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.delivery.spool.writer import Entry
from evalrunner.errors import SpoolError


class Deaf:
    """A `SpoolListener` that does nothing with what it hears."""

    def durable(self, entries: list[Entry]) -> None: ...
    def accepted(self, entries: list[Entry]) -> None: ...
    def refused(self, entry: Entry, reason: str) -> None: ...
    def failed(self, error: Exception) -> None: ...


def test_what_the_spool_does_not_take_is_not_on_its_way(tmp_path: Path) -> None:
    def never() -> None:
        raise AssertionError("nothing is sent")

    sender = SpoolSender(never, compress=False, deadline=1.0, note=lambda text: None)  # type: ignore[arg-type]
    pipeline = DeliveryPipeline(tmp_path / "a.spool", info={}, listener=Deaf(), new_sender=lambda _: sender)
    pipeline.close()
    with pytest.raises(SpoolError, match="is closed"):
        pipeline.publish(1, 1, {}, [])
    assert not pipeline.busy
