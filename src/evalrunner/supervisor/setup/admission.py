"""Who may run an experiment: the claim to it, which all see, and the lock of the run's folder on this machine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from evalrunner.clock import SYSTEM
from evalrunner.config import Endpoint, RunConfig
from evalrunner.errors import ExperimentBusy
from evalrunner.service.client import make_client
from evalrunner.service.errors import told
from evalrunner.supervisor.setup.claim import LOOK, Claim, Keeper
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.owner import Owner
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify.findings import unclaimed

T = TypeVar("T")
#: Seconds that the claim's release may take.
RELEASED = 10.0


def take(claim: Claim, link: Link, config: RunConfig, scope: Scope, say: Callable[[str], None]) -> None:
    """Claim the experiment, unless it is still to be made: then nobody else knows it.

    Raises:
        ExperimentBusy: another command runs it.
        ServiceError: the service does not answer.
    """
    if scope.session is None:
        return
    with told(link.client):
        claim.take(
            link.client,
            scope.name,
            wait=config.wait,
            take_over=config.take_over,
            pause=time.sleep,
            say=say,
            flags=config.said is not None,
        )


def release(claim: Claim, link: Link, seconds: float) -> None:
    """Let others run the experiment; a service that is silent is not waited for.

    Where that fails, whoever comes to this machine sees that this process is dead, and others by its silence.
    """
    thread = threading.Thread(target=claim.release, args=(link.hasty_client(),), daemon=True)
    thread.start()
    thread.join(min(RELEASED, seconds))


class Admitted:
    """An experiment that is claimed for something else than a run of ours, for as long as the block lasts.

    Args:
        wait, take_over: as for a run.

    Raises:
        ExperimentBusy: another command runs it.
        ServiceError: the service does not answer.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        experiment: UUID,
        name: str,
        folder: Path,
        say: Callable[[str], None],
        *,
        wait: bool,
        take_over: bool,
    ) -> None:
        self._endpoint, self._client = endpoint, make_client(endpoint)
        self._name, self._say, self._wait, self._take_over = name, say, wait, take_over
        self._claim = Claim(experiment, Owner.myself(folder, SYSTEM.utcnow(), os.environ), SYSTEM)

    def __enter__(self) -> Admitted:
        self._take()
        self._keeper = Keeper(self._claim, make_client(self._endpoint, retries=0))
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.stop()
        self._claim.release(self._client)

    def _take(self) -> None:
        with told(self._client):
            self._claim.take(
                self._client,
                self._name,
                wait=self._wait,
                take_over=self._take_over,
                pause=time.sleep,
                say=self._say,
            )
        if self._claim.refused:
            self._say(unclaimed(self._claim.refused).text)

    def stepping_aside(self, work: Callable[[], T]) -> T:
        """Do what claims the experiment for itself, a run of ours."""
        self._claim.release(self._client)
        try:
            return work()
        finally:
            self._take()


def open_folder(place: Path, config: RunConfig, say: Callable[[str], None]) -> RunFolder:
    """Open the run's folder; wait for it, if that was asked for, while another run holds it.

    Raises:
        ExperimentBusy: another run holds it.
        RunFolderError: it cannot be opened.
    """
    waits = False
    while True:
        try:
            return RunFolder(place)
        except ExperimentBusy as error:
            if not config.wait:
                raise
            if not waits:
                say(f"waiting: {str(error).partition(';')[0]}")
            waits = True
            time.sleep(LOOK)
