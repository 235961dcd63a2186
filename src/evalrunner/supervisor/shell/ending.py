"""When a run whose workers are gone is over: all is sent on and read back, or nobody waits for it any more."""

from __future__ import annotations

from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.shell.context import RunContext
from evalrunner.supervisor.shell.signals import Stops

#: Seconds that a stopped run still waits for what does not come back; of its whole time, those left for its receipt.
STOP_GRACE, CLOSING = 5.0, 1.5


class Ending:
    """What is still waited for.

    Attributes:
        phase: of the run, in a word.
    """

    def __init__(self, context: RunContext, state: SupervisorState, stops: Stops) -> None:
        self._p, self._state, self._stops = context, state, stops
        self.phase = "starting"
        self._heeded: bool | None = None
        self._waiting, self._waiting_since = -1, 0.0

    def asked(self) -> bool:
        """Tell, once, that an end is asked for; and once more where a signal does not leave the job's whole time."""
        if not self._stops() or self._heeded in (False, self._stops.by_clock):
            return False
        self._heeded = self._stops.by_clock
        return True

    def over(self) -> bool:
        """Tell whether nothing is left to wait for once the workers are gone."""
        now = self._p.clock.monotonic()
        if self._p.course.taken:
            return True  # what is left is the other command's affair, or the next one's in this folder
        if self._p.error_runs.busy or self._p.relay.busy or not self._p.events.empty():
            self.phase = "draining"
            return self._time_is_up()
        self.phase = "confirming"
        self._p.confirmer.hurry()
        return self._confirmed(now)

    def _confirmed(self, now: float) -> bool:
        waiting = self._p.confirmer.waiting
        if self._p.course.gone or self._time_is_up():
            return True  # nothing will ever come back, or nobody waits for it
        if waiting == 0:
            return self._p.events.empty()
        if waiting != self._waiting:
            # The deadline counts from the last item that came back.
            self._waiting, self._waiting_since = waiting, now
        hurried = self._state.stopping and not self._stops.by_clock
        limit = STOP_GRACE if hurried else self._p.config.visible_deadline
        return now - self._waiting_since > limit

    def _time_is_up(self) -> bool:
        return self._stops.left() < CLOSING
