"""Whatever dies whenever, no item is lost and none is doubled: the supervisor's judgment in a small world.

The world and what carries out orders in it is in tests/support/world.py. Whatever the rules did before, in the end
everything that still can happen does, and the books must close.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import Report
from evalrunner.supervisor.core import events as ev
from tests.support.world import Lease, Process, Shell

S = ItemState
picks = st.integers(0, 2**16)


class World(Shell):
    """Rules are what may happen; invariants are the promise."""

    # -- what may happen -----------------------------------------------------------------------------

    def one(self, pick: int, able: Callable[[Process], object]) -> Process | None:
        living = [process for process in self.living() if able(process)]
        return living[pick % len(living)] if living else None

    @precondition(lambda w: any(not p.loaded for p in w.living()))
    @rule(pick=picks)
    def a_worker_loads(self, pick: int) -> None:
        process = self.one(pick, lambda p: not p.loaded)
        if process:
            process.loaded = True
            begun = any(each.loaded for each in self.processes if each is not process)
            self.happen(ev.WorkerReady(process.number, process.concurrency))
            if not begun and not process.closing:
                self.happen(ev.Begun())

    @precondition(lambda w: any(not p.loaded for p in w.living()))
    @rule(pick=picks)
    def a_worker_begins_to_set_up(self, pick: int) -> None:
        process = self.one(pick, lambda p: not p.loaded and not p.closing)
        if process:
            self.happen(ev.WorkerSetsUp(process.number))

    @precondition(lambda w: any(not p.loaded for p in w.living()))
    @rule(pick=picks, really=st.sampled_from([False, False, False, True]), sure=st.booleans())
    def a_worker_cannot_load(self, pick: int, really: bool, sure: bool) -> None:
        process = self.one(pick, lambda p: not p.loaded)
        if process and really:
            self.happen(ev.WorkerCouldNotStart(process.number, "no GPU", sure))
            if not self.aborted:
                process.alive = False
                self.happen(ev.WorkerGone(process.number, "could not start"))

    @precondition(lambda w: any(p.queue for p in w.living()))
    @rule(pick=picks)
    def a_worker_begins_an_item(self, pick: int) -> None:
        process = self.one(pick, lambda p: p.queue and len(p.board) < p.concurrency)
        if process:
            lease = process.queue.popleft()
            process.board.add(lease)
            self.executed |= {(g.item, g.attempt) for g in self.grants if (g.item, g.token) == lease}

    @precondition(lambda w: w.living())
    @rule(pick=picks)
    def the_supervisor_looks_at_a_board(self, pick: int) -> None:
        process = self.one(pick, lambda p: p.loaded)
        if process:
            self.happen(ev.Executing(process.number, {item: self.now for item, _ in process.board}))

    @precondition(lambda w: any(p.board for p in w.living()))
    @rule(pick=picks, cleared=st.booleans(), fails=st.booleans())
    def a_worker_ends_an_item(self, pick: int, cleared: bool, fails: bool = False) -> None:
        """Its record is written, then its lane cleared; it is not durable yet, so nobody is told."""
        process = self.one(pick, lambda p: p.board - set(p.spool))
        if process:
            lease = sorted(process.board - set(process.spool))[0]
            if fails:
                self.failed.add(lease)
            process.spool.append(lease)
            process.unsynced.append(lease)
            if cleared:
                process.board.discard(lease)

    @precondition(lambda w: any(p.board for p in w.living()))
    @rule(pick=picks)
    def a_worker_holds_a_failure_back(self, pick: int) -> None:
        process = self.one(pick, lambda p: any(self.may_wait(each) for each in p.board - set(p.spool)))
        if process:
            lease = min(each for each in process.board - set(process.spool) if self.may_wait(each))
            process.board.discard(lease)
            process.withheld.append(lease)
            self.failed.add(lease)
            report = Report(withheld=[(*lease, "OSError(24")])
            process.pipe.append(ev.Reported(process.number, report))

    def may_wait(self, lease: Lease) -> bool:
        return any((g.item, g.token) == lease and not g.final for g in self.grants)

    @precondition(lambda w: any(p.withheld for p in w.living()))
    @rule(pick=picks)
    def a_worker_turns_out_to_be_well(self, pick: int) -> None:
        process = self.one(pick, lambda p: p.withheld)
        if process:
            process.publish(process.withheld[:1])

    @precondition(lambda w: any(p.unsynced for p in w.living()))
    @rule(pick=picks)
    def a_spool_is_synced(self, pick: int) -> None:
        process = self.one(pick, lambda p: p.unsynced)
        if process:
            fresh, process.unsynced = process.unsynced, []
            process.board -= set(fresh)
            process.unsent += fresh
            report = Report(produced=[self.made(lease) for lease in fresh])
            process.pipe.append(ev.Reported(process.number, report))

    @precondition(lambda w: any(p.unsent for p in w.living()))
    @rule(pick=picks, answer=st.sampled_from(["2xx", "2xx", "2xx", "422", "lost"]))
    def a_worker_sends_a_trace(self, pick: int, answer: str) -> None:
        process = self.one(pick, lambda p: p.unsent and not p.acknowledged)  # its last word
        if process:
            lease = process.unsent[0]
            if answer != "422" and lease not in self.server:
                self.server.append(lease)
            if answer == "lost":
                return  # the same bytes again, later: the same run
            process.unsent.pop(0)
            report = Report(accepted=[lease]) if answer == "2xx" else Report(refused=[(*lease, "422")])
            process.pipe.append(ev.Reported(process.number, report))

    @precondition(lambda w: any(p.closing and not p.acknowledged for p in w.living()))
    @rule(pick=picks, overtakes=st.integers(0, 2), swallows=st.booleans())
    def a_worker_acknowledges(self, pick: int, overtakes: int, swallows: bool) -> None:
        """Its last word may overtake reports, which then come late, or never."""
        process = self.one(pick, lambda p: p.closing and not p.has() and not p.acknowledged)
        if process:
            process.acknowledged = True
            ahead = min(overtakes, len(process.pipe))
            late = [process.pipe.pop() for _ in range(ahead)][::-1]
            process.pipe.append(ev.Acknowledged(process.number))
            process.missing = bool(late)
            if swallows:
                self.lost += late
            else:
                process.pipe.extend(late)

    @precondition(lambda w: any(p.pipe for p in w.living()))
    @rule(pick=picks, messages=st.integers(1, 4))
    def the_supervisor_hears(self, pick: int, messages: int) -> None:
        process = self.one(pick, lambda p: p.pipe)
        if process:
            heard = [process.pipe.popleft() for _ in range(min(messages, len(process.pipe)))]
            for event in heard:
                self.take(event)
            self.act()  # one commit for all of them
            if any(isinstance(event, ev.Acknowledged) for event in heard) and process.alive:
                self.leave(process)

    @precondition(lambda w: any(p.loaded for p in w.living()))
    @rule(pick=picks, heard=st.integers(0, 3), really=st.booleans())
    def a_worker_is_killed(self, pick: int, heard: int, really: bool) -> None:
        process = self.one(pick, lambda p: p.loaded)
        if process and (really or process.board):
            self.die(process, heard)

    @precondition(lambda w: w.relay)
    @rule(pick=picks, accepted=st.booleans())
    def the_relay_sends(self, pick: int, accepted: bool) -> None:
        if self.relay:
            lease = self.relay.pop(pick % len(self.relay))
            if accepted and lease not in self.server:
                self.server.append(lease)
            self.happen(ev.SentOn(accepted=(lease,)) if accepted else ev.SentOn(refused=((*lease, "422"),)))

    @precondition(lambda w: w.error_runs)
    @rule()
    def an_error_run_is_written(self) -> None:
        if self.error_runs:
            lease = self.error_runs.pop(0)
            self.happen(ev.ErrorRunWritten(self.made(lease)))
            self.relay.append(lease)

    @precondition(lambda w: S.ACCEPTED in w.ledger.values())
    @rule(pick=picks)
    def the_experiment_is_read(self, pick: int) -> None:
        there = {item for item, _ in self.server}
        accepted = [n for n, state in self.ledger.items() if state is S.ACCEPTED and n in there]
        if accepted:
            self.happen(ev.Seen((accepted[pick % len(accepted)],)))

    @precondition(lambda w: w.lost)
    @rule(pick=picks)
    def a_late_report_comes(self, pick: int) -> None:
        if self.lost:
            self.happen(self.lost.pop(pick % len(self.lost)))

    @rule(seconds=st.sampled_from([0.0] * 7 + [150.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.happen(ev.Tick())

    @precondition(lambda self: len(self.processes) > 2)
    @rule(really=st.sampled_from([False] * 7 + [True]))
    def the_user_stops_it(self, really: bool) -> None:
        if really:
            self.happen(ev.StopAsked())

    # -- the promise ---------------------------------------------------------------------------------

    @invariant()
    def the_ledger_says_what_the_state_says(self) -> None:
        if hasattr(self, "ledger"):
            assert self.ledger == {number: item.state for number, item in self.state.items.items()}

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        if hasattr(self, "ledger"):
            held = [item for process in self.living() for item in process.has()]
            assert len(held) == len(set(held))
            assert len(self.living()) <= self.policy.workers
            for process in self.living():
                for item, token in [*process.queue, *process.board, *process.withheld, *process.unsynced]:
                    assert (self.ledger[item], self.state.items[item].token) == (S.LEASED, token)

    @invariant()
    def nothing_is_doubled(self) -> None:
        if hasattr(self, "ledger"):
            assert len(self.produced) == len(set(self.produced))
            on_server = [item for item, _ in self.server]
            assert len(on_server) == len(set(on_server))

    @invariant()
    def an_item_is_given_up_at_the_last_death_and_no_sooner(self) -> None:
        if hasattr(self, "ledger"):
            for number, item in self.state.items.items():
                # Deaths after a stop are nobody's fault.
                assert item.deaths == self.died_with[number] or self.state.stopping
                assert item.deaths + item.spoilt <= self.policy.max_attempts
                written = number in {item for item, _ in self.error_runs} or item.state is S.FAILED
                assert not written or item.deaths + item.spoilt == self.policy.max_attempts

    @invariant()
    def nothing_is_executed_more_often_than_was_said(self) -> None:
        if hasattr(self, "ledger"):
            for number in self.ledger:
                times = sum(item == number for item, _ in self.executed)
                assert times <= self.policy.max_attempts

    def teardown(self) -> None:
        """Everything that still can happen does: then nothing is held, and every item has its end."""
        if not hasattr(self, "ledger") or self.aborted:
            return
        for _ in range(2000):
            if not self.one_step():
                break
        else:
            raise AssertionError("the run never comes to rest")
        assert self.living() == []
        assert not self.state.executing
        self.the_ledger_says_what_the_state_says()
        self.nothing_is_doubled()
        ends = {S.VISIBLE, S.NOT_DELIVERED}
        if self.state.stopping or self.gave_up_starting:
            ends |= {S.CANCELLED}
        assert set(self.ledger.values()) <= ends
        seen = sorted(item for item, state in self.ledger.items() if state is S.VISIBLE)
        assert set(seen) <= {item for item, _ in self.server}
        assert sorted(self.produced) == sorted(n for n, s in self.ledger.items() if s is not S.CANCELLED)

    def one_step(self) -> bool:
        before = self.facts()
        for step in (
            self.a_worker_loads,
            self.a_worker_begins_an_item,
            self.a_spool_is_synced,
        ):
            step(0)
        self.a_worker_acknowledges(0, 0, swallows=False)
        self.a_worker_ends_an_item(0, cleared=True)
        self.a_worker_sends_a_trace(0, "2xx")
        self.the_supervisor_hears(0, 1)
        self.the_relay_sends(0, accepted=True)
        self.an_error_run_is_written()
        self.the_experiment_is_read(0)
        return self.facts() != before

    def facts(self) -> object:
        processes = [
            (
                p.alive,
                p.loaded,
                p.acknowledged,
                *map(len, (p.queue, p.board, p.spool, p.pipe, p.unsynced, p.unsent, p.withheld)),
            )
            for p in self.processes
        ]
        # What is said and heard in one step leaves the pipe as long as it was; but hearing takes its time.
        return (
            processes,
            dict(self.ledger),
            len(self.server),
            len(self.relay),
            len(self.error_runs),
            self.now,
        )


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=250, stateful_step_count=80, deadline=None)
