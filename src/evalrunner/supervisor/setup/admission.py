"""Who may run an experiment: the claim to it, which all see, and the lock of the run's folder on this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from evalrunner.config import RunConfig
from evalrunner.errors import ExperimentBusy
from evalrunner.service.errors import told
from evalrunner.supervisor.setup.claim import LOOK, Claim
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.scope import Scope

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
        )


def release(claim: Claim, link: Link, seconds: float) -> None:
    """Let others run the experiment; a service that is silent is not waited for.

    Where that fails, whoever comes to this machine sees that this process is dead, and others by its silence.
    """
    thread = threading.Thread(target=claim.release, args=(link.hasty_client(),), daemon=True)
    thread.start()
    thread.join(min(RELEASED, seconds))


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
