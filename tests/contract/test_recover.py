"""Taking up, against a real server, what a killed command has left: its spools, its leases, what it had sent."""

from __future__ import annotations

from collections.abc import Callable

from evalrunner.protocol.lease import ItemState
from evalrunner.supervisor.recover import recover
from tests.support.leftover import Leftover
from tests.support.rig import Backend

S = ItemState
Make = Callable[..., Leftover]


def never() -> int:
    return 0


def taken_up(one: Leftover, stops: Callable[[], int] = never) -> Leftover:
    recover(one.context, one.readback, stops)
    return one


def test_what_lies_in_a_spool_is_believed_sent_and_seen_and_the_rest_is_given_back(left: Make) -> None:
    one = left(3)
    for item in (1, 2, 3):
        one.lease(item, token=item)
    one.spool((1, 1), (3, 3))
    taken_up(one)
    assert one.states() == [S.VISIBLE, S.AVAILABLE, S.VISIBLE]
    assert one.there() == sorted([one.examples[0], one.examples[2]])
    assert one.story(1) == ["produced: found in the spool of a dead worker"]
    assert one.story(2) == ["its supervisor died; given back"]
    assert [row.error for row in one.rows()] == ["boom", None, "boom"]


def test_a_trace_of_an_earlier_lease_is_neither_believed_nor_sent(left: Make) -> None:
    one = left(1)
    one.lease(1, token=7)
    one.spool((1, 6))
    taken_up(one)
    assert one.states() == [S.AVAILABLE]
    assert one.there() == []


def test_what_somebody_else_has_made_complete_meanwhile_is_not_sent_beside_it(
    left: Make, backend: Backend
) -> None:
    one = left(2)
    for item in (1, 2):
        one.lease(item, token=item)
    one.spool((1, 1), (2, 2))
    backend.client.create_run(
        "elsewhere", {}, "chain", outputs={"x": 1}, project_name=one.name,
        reference_example_id=one.examples[0], start_time=one.context.clock.utcnow(),
        end_time=one.context.clock.utcnow(),
    )  # fmt: skip
    taken_up(one)
    assert one.states() == [S.PRODUCED, S.VISIBLE]
    assert one.there() == sorted(one.examples), "one run of each"


def test_a_run_that_may_have_been_sent_already_is_there_once(left: Make) -> None:
    one = left(1)
    one.lease(1, token=1)
    one.spool((1, 1))
    taken_up(one)
    one.lease(1, token=1)  # as if the supervisor had died before it wrote that it is accepted
    taken_up(one)
    assert one.states() == [S.VISIBLE]
    assert one.there() == one.examples


def test_what_was_accepted_and_does_not_come_back_is_said_to_be_of_an_earlier_run(left: Make) -> None:
    one = left(2, visible_deadline=0.2)
    one.ledger.produced(one.made(1, 1), 1)
    one.lease(1, 1, S.ACCEPTED)
    taken_up(one)
    assert one.states() == [S.NOT_VISIBLE, S.AVAILABLE]
    assert str(one.rows()[0].reason).startswith("of an earlier run: ")


def test_nothing_of_it_is_taken_for_an_answer_about_this_runs_attempts(left: Make) -> None:
    one = left(4)
    for item in range(1, 5):
        one.lease(item, token=item)
    one.spool((1, 1), (2, 2), (3, 3))
    taken_up(one)
    assert one.context.events.empty()
    assert one.context.confirmer.waiting == 0
    assert one.context.confirmer.scores() == {}


def test_a_stop_leaves_what_is_unsent_where_it_is(left: Make) -> None:
    one = left(1)
    one.lease(1, token=1)
    path = one.spool((1, 1))
    one.link.client.close()
    taken_up(one, lambda: 1)
    assert one.states()[0] in (S.PRODUCED, S.ACCEPTED, S.VISIBLE), "believed, however far it came"
    assert path.exists()


def test_a_spool_that_cannot_be_read_costs_its_own_items_only(left: Make) -> None:
    one = left(2)
    for item in (1, 2):
        one.lease(item, token=item)
    one.spool((1, 1))
    (one.folder.spool / "000002.spool").write_bytes(b"no spool")
    taken_up(one)
    assert one.states() == [S.VISIBLE, S.AVAILABLE]
