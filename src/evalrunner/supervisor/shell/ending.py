"""When a run whose workers are gone is over: all is sent on and read back, or nobody waits for it any more."""

from __future__ import annotations

from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.shell.context import RunContext

#: Seconds that a stopped run still waits for what does not come back; of its whole time, those left for its receipt.
STOP_GRACE, CLOSING = 5.0, 1.5


class Ending:
    """What is still waited for.

    Attributes:
        phase: of the run, in a word.
    """

    def __init__(self, context: RunContext, state: SupervisorState) -> None:
        self._p, self._state = context, state
        self.phase = "starting"
        self._asked = 0
        self._stopped_at: float | None = None
        self._waiting, self._waiting_since = -1, 0.0

    def stop(self, asked: int) -> bool:
        """Note how often an end was asked for; return whether this is the first that is heard of it."""
        self._asked = asked
        first = asked > 0 and self._stopped_at is None
        if first:
            self._stopped_at = self._p.clock.monotonic()
        return first

    def over(self) -> bool:
        """Tell whether nothing is left to wait for once the workers are gone."""
        now = self._p.clock.monotonic()
        if self._p.error_runs.busy or self._p.relay.busy or not self._p.events.empty():
            self.phase = "draining"
            return self._time_is_up(now)
        self.phase = "confirming"
        self._p.confirmer.hurry()
        return self._confirmed(now)

    def _confirmed(self, now: float) -> bool:
        waiting = self._p.confirmer.waiting
        if self._p.course.gone or self._time_is_up(now):
            return True  # nothing will ever come back, or nobody waits for it
        if waiting == 0:
            return self._p.events.empty()
        if waiting != self._waiting:
            # The deadline counts from the last item that came back.
            self._waiting, self._waiting_since = waiting, now
        limit = STOP_GRACE if self._state.stopping else self._p.config.visible_deadline
        return now - self._waiting_since > limit

    def _time_is_up(self, now: float) -> bool:
        if self._stopped_at is None:
            return False
        return self._asked > 1 or now - self._stopped_at > self._p.config.drain_timeout - CLOSING
