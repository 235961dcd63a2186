"""A run claims its experiment, so that a second command over it is told who runs it instead of doing it all twice."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from langsmith import Client
from langsmith.schemas import TracerSession
from langsmith.utils import LangSmithConnectionError, LangSmithError

from evalrunner.clock import Clock
from evalrunner.errors import ExperimentBusy
from evalrunner.service.errors import words
from evalrunner.supervisor.setup.owner import BEAT, CLAIM, HELD_HERE, SILENT, Owner

logger = logging.getLogger(__name__)

#: Seconds between two looks of one that waits, and of one that keeps its claim.
LOOK, KEPT = 5.0, 15.0
#: Seconds after which a service shows what was written.
SHOWN = 0.5


class Claim:
    """One command's claim to one experiment. For the threads of one process.

    Args:
        experiment: the id.
        me: who claims it.

    Attributes:
        refused: why the service did not take the claim, or "": then nothing keeps a second command apart.
        lost: which command has taken the experiment over since, or "".
    """

    def __init__(self, experiment: UUID, me: Owner, clock: Clock) -> None:
        self._experiment, self._clock = experiment, clock
        self._me = me
        self._written = clock.monotonic()
        self._held = False
        self.refused = self.lost = ""
        self._lock = threading.Lock()

    # -- taking it -----------------------------------------------------------------------------------

    def take(
        self,
        client: Client,
        name: str,
        *,
        wait: bool,
        take_over: bool,
        pause: Callable[[float], None],
        say: Callable[[str], None],
        flags: bool = True,
    ) -> None:
        """Claim an experiment that is there.

        Args:
            wait: until whoever runs it has ended, or is silent for so long that it must be dead.
            take_over: take the place of one that is silent for so long.
            pause: sleeps.
            flags: whether what is advised are flags, or arguments in Python.

        Raises:
            ExperimentBusy: another command runs it.
        """
        other, taking = _Other(), False
        while True:
            owner = self._other(self._read(client))
            if owner is None:
                owner = self._first(client)
                if owner is None:
                    return
            silent = other.silence(owner, self._clock)
            if silent >= SILENT and (wait or take_over):
                if other.is_new or not taking:
                    say(f"going on in place of the evalrunner that has fallen silent ({self._words(owner)})")
                taking = True
                self._write(client, instead=owner)
                pause(SHOWN)  # a service may show for a moment what stood there before
                continue
            if not wait:
                raise ExperimentBusy(self._refusal(name, owner, silent, flags=flags))
            if other.is_new:
                say(f"waiting for another evalrunner that runs this experiment ({self._words(owner)})")
            pause(LOOK)

    def _first(self, client: Client) -> Owner | None:
        """Write who runs it; return who has done so at the same moment instead."""
        try:
            self._write(client)
        except LangSmithConnectionError:
            raise
        except LangSmithError as error:
            # Runs can be read, and may be taken; only the metadata is not ours to write, or cannot be at the moment.
            self.refused = words(error)
            return None
        return self._other(self._read(client))

    def made(self) -> dict[str, Any]:
        """Return what stands in the metadata of an experiment that is made with the claim."""
        self._me = self._me.again(self._clock.utcnow())
        self._hold()
        return {CLAIM: self._me.to_json()}

    def _refusal(self, name: str, owner: Owner, silent: float, *, flags: bool) -> str:
        wait, take_over = ("--wait", "--take-over") if flags else ("wait=True", "take_over=True")
        told = f"another evalrunner is running the experiment {name!r} ({self._words(owner)})"
        if silent >= SILENT:
            return f"{told}; it seems to be dead: {take_over} goes on in its place"
        return f"{told}; {wait} waits for its end"

    def _words(self, owner: Owner) -> str:
        return owner.words(self._clock.utcnow())

    # -- keeping it ----------------------------------------------------------------------------------

    def look(self, client: Client) -> None:
        """Learn whether another has taken over since; say, now and then, that this one lives.

        Raises:
            Exception: the service does not answer: whoever looks in its metadata has none either.
        """
        with self._lock:
            if not self._held:
                return
            session = self._read(client)
            owner = self._other(session)
            if owner is not None:
                self._let_go()
                self.lost = self._words(owner)
            elif self._clock.monotonic() - self._written >= BEAT or CLAIM not in (session.metadata or {}):
                self._write(client)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else of this process write the metadata meanwhile: it is read, changed and written whole."""
        with self._lock:
            yield

    def other(self, client: Client) -> str:
        """Look once more before anything is executed: who has it instead, or ""."""
        try:
            owner = None if self.refused else self._other(self._read(client))
        except LangSmithError as error:
            logger.info("the claim cannot be looked at: %s", error)
            return ""  # whoever keeps it looks again
        if owner is None:
            return ""
        self._let_go()
        return self._words(owner)

    def release(self, client: Client) -> None:
        """Take the claim out of the metadata, if it is still ours; no matter if that fails."""
        with self._lock:
            try:
                if self._held:
                    self._remove(client)
            except Exception as error:
                logger.info("the claim cannot be released: %s", error)
            finally:
                self._let_go()

    def _remove(self, client: Client) -> None:
        session = self._read(client)
        metadata = dict(session.metadata or {})
        owner = Owner.found_in(metadata)
        if owner is not None and owner.token == self._me.token:
            del metadata[CLAIM]
            _put(client, session, metadata)

    # ------------------------------------------------------------------------------------------------

    def _other(self, session: TracerSession) -> Owner | None:
        owner = Owner.found_in(session.metadata or {})
        if owner is None or owner.token == self._me.token or owner.is_dead(self._me):
            return None
        return owner

    def _read(self, client: Client) -> TracerSession:
        found: TracerSession = client.read_project(project_id=self._experiment)
        return found

    def _write(self, client: Client, instead: Owner | None = None) -> None:
        session = self._read(client)
        owner = Owner.found_in(session.metadata or {})
        if instead is not None and owner is not None and owner.token != instead.token:
            return  # somebody else was quicker
        self._me = self._me.again(self._clock.utcnow())
        _put(client, session, {**(session.metadata or {}), CLAIM: self._me.to_json()})
        self._hold()

    def _hold(self) -> None:
        self._held, self._written = True, self._clock.monotonic()
        HELD_HERE.add(self._me.token)

    def _let_go(self) -> None:
        self._held = False
        HELD_HERE.discard(self._me.token)


class _Other:
    """An owner that is watched: by its clock and ours at first, by ours alone from then on."""

    def __init__(self) -> None:
        self.is_new = False
        self._token = self._seen = ""
        self._since = 0.0

    def silence(self, owner: Owner, clock: Clock) -> float:
        """Return for how long it has been silent."""
        self.is_new = owner.token != self._token
        if self.is_new or owner.seen != self._seen:
            ago = max(0.0, owner.silence(clock.utcnow()))
            self._since = clock.monotonic() - ago
            self._token, self._seen = owner.token, owner.seen
        return clock.monotonic() - self._since


def _put(client: Client, session: TracerSession, metadata: dict[str, Any]) -> None:
    # Not `update_project`, which leaves the metadata alone where nothing would be left of it (client.py:5185).
    client.request_with_retries(
        "PATCH",
        f"/sessions/{session.id}",
        request_kwargs={"json": {"extra": {**(session.extra or {}), "metadata": metadata}}},
        stop_after_attempt=3,
    )


class Keeper:
    """Keeps a claim, in a thread of its own, as long as the command lives: also while it plans, or loads for long."""

    def __init__(self, claim: Claim, client: Client) -> None:
        self._claim, self._client = claim, client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="claim", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a question that is not answered is left behind."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(KEPT):
            try:
                self._claim.look(self._client)
            except Exception as error:
                logger.info("the claim cannot be looked at: %s", error)
