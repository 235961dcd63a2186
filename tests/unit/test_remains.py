"""What a dead worker has left: what counts as produced, and which of its records are still to be sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evalrunner.delivery.spool.files import segment_path
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import Entry, SpoolFile, SpoolWriter, read
from evalrunner.protocol.lease import ItemState
from evalrunner.supervisor.core.items import Item
from evalrunner.supervisor.shell.remains import produced_in, synced, unsent

S = ItemState
FACTS = {"runs": ["r"], "others": [], "feedback": [], "error": None, "warnings": [], "seconds": 0.1}


def spool(path: Path, *headers: tuple[int | None, int | None, dict[str, Any]]) -> list[Entry]:
    """Write records: (item, token, facts) each."""
    writer = SpoolWriter(path, info={}, on_durable=lambda _: None, on_error=lambda _: None)
    for number, (item, token, facts) in enumerate(headers):
        parts = [(f"post.{number}", "application/json", b"{}")]
        ops, body = encode_parts(writer.boundary, [("post", str(number), parts)])
        writer.append(Header(item, token, facts, ops), body)
    writer.close()
    return read(path).entries


def test_what_it_had_produced_is_what_its_spool_holds_whole(tmp_path: Path) -> None:
    path = tmp_path / "000001.spool"
    spool(path, (3, 7, FACTS), (None, None, {"opening": [4, 8]}), (None, None, {}), (5, 9, FACTS))
    assert [(made.item, made.token) for made in produced_in(path)] == [(3, 7), (5, 9)]
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert [(made.item, made.token) for made in produced_in(path)] == [(3, 7)]


def test_a_segment_that_cannot_be_read_costs_what_lies_in_it_only(tmp_path: Path) -> None:
    path = tmp_path / "000001.spool"
    segment_path(path, 1).write_bytes(b"no spool")
    spool(segment_path(path, 2), (3, 7, FACTS))
    assert [made.item for made in produced_in(path)] == [3]
    assert produced_in(tmp_path / "000002.spool") == [], "it died before it had one"


def test_a_spool_is_made_durable_before_it_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "000001.spool"
    spool(path, (3, 7, FACTS))
    order: list[str] = []
    monkeypatch.setattr("os.fdatasync", lambda _: order.append("synced"))

    def reads(spool: Path) -> SpoolFile:
        order.append("read")
        return read(spool)

    monkeypatch.setattr("evalrunner.supervisor.shell.remains.read", reads)
    produced_in(path)
    assert order == ["synced", "read"]
    assert synced(path) == path


@pytest.mark.parametrize(
    ("state", "token", "whole", "opening"),
    [
        (S.PRODUCED, 7, True, True),
        (S.ACCEPTED, 7, False, False),
        (S.VISIBLE, 7, False, False),
        (S.NOT_DELIVERED, 7, False, True),
        (S.FAILED, 7, False, True),
        # Of an attempt that died: its end is written, and needs a beginning; its whole trace must not come twice.
        (S.LEASED, 8, False, True),
        (S.VISIBLE, 8, False, True),
    ],
)
def test_of_an_item_is_sent_what_the_service_lacks(
    tmp_path: Path, state: ItemState, token: int, whole: bool, opening: bool
) -> None:
    entries = spool(tmp_path / "1.spool", (3, 7, FACTS), (None, None, {"opening": [3, 7]}))
    wanted = unsent({3: Item(state, token=token)}, set())
    assert [wanted(entry) for entry in entries] == [whole, opening]


def test_of_an_item_that_nobody_knows_only_openings_are_sent(tmp_path: Path) -> None:
    entries = spool(tmp_path / "1.spool", (3, 7, FACTS), (None, None, {"opening": [3, 7]}))
    assert [unsent({}, set())(entry) for entry in entries] == [False, True]


def test_of_what_belongs_to_no_item_is_sent_what_has_not_arrived(tmp_path: Path) -> None:
    entries = spool(tmp_path / "1.spool", (None, None, {}), (None, None, {}))
    assert [unsent({}, {1})(entry) for entry in entries] == [False, True]
