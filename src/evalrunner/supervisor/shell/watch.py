"""Whether the experiment is still there, and still called as it was: asked now and then, in a thread of its own.

Somebody may rename or delete it while the run goes on. Runs are addressed by its id, so that a new name costs
nothing; once it is deleted, nothing that is executed could ever be seen.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from langsmith import Client
from langsmith.utils import LangSmithNotFoundError

from evalrunner.supervisor.core.events import DatasetGone, Event, ExperimentGone, Renamed
from evalrunner.supervisor.setup.scope import Scope

logger = logging.getLogger(__name__)

#: Seconds between two looks; between two when something does not come back; until a 404 is believed.
EVERY, HURRIED, CERTAIN = 10.0, 2.0, 1.0


class Watch:
    """Looks after one experiment, once it exists.

    Args:
        client: for this thread alone; must not retry for long.
        post: takes `Renamed`, `ExperimentGone` and `DatasetGone`, each once, from any thread.
    """

    def __init__(self, client: Client, post: Callable[[Event], None]) -> None:
        self._client = client
        self._post = post
        self._scope: Scope | None = None
        self._name = ""
        self._gone = self._dataset_gone = False
        self._looking = threading.Lock()
        self._wake = threading.Condition()
        self._stopping = self._nudged = False
        self._thread: threading.Thread | None = None

    def begin(self, scope: Scope) -> None:
        """Begin to look; the experiment exists."""
        if self._thread is None:
            self._scope, self._name = scope, scope.name
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    def nudge(self) -> None:
        """Look soon: what was accepted does not come back."""
        with self._wake:
            self._nudged = True
            self._wake.notify()

    def look(self) -> None:
        """Look now."""
        with self._looking:
            if self._scope is not None and not self._gone:
                self._look(self._scope)

    def stop(self, seconds: float = math.inf) -> None:
        """End the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            # It only looks: a service that is silent need not be waited for.
            self._thread.join(timeout=min(1.0, seconds))

    def _run(self) -> None:
        while not self._pause(HURRIED):
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._nudged, timeout=EVERY - HURRIED)
                self._nudged = False
            self.look()

    def _pause(self, seconds: float) -> bool:
        with self._wake:
            return self._wake.wait_for(lambda: self._stopping, timeout=seconds)

    def _look(self, scope: Scope) -> None:
        try:
            name = str(self._client.read_project(project_id=scope.experiment_id).name)
        except LangSmithNotFoundError:
            self._missed(scope)
            return
        except Exception as error:
            logger.info("the experiment cannot be looked at: %s", error)
            return
        if name != self._name:
            self._post(Renamed(self._name, name))
            self._name = name
        if not self._dataset_gone and self._is_dataset_gone(scope):
            self._dataset_gone = True
            self._post(DatasetGone())

    def _missed(self, scope: Scope) -> None:
        # One 404 may be a replica that lags behind.
        if self._pause(CERTAIN):
            return
        try:
            self._client.read_project(project_id=scope.experiment_id)
        except LangSmithNotFoundError:
            self._gone = True
            self._post(ExperimentGone(self._name, dataset=self._is_dataset_gone(scope)))
        except Exception as error:
            logger.info("the experiment cannot be looked at: %s", error)

    def _is_dataset_gone(self, scope: Scope) -> bool:
        try:
            self._client.read_dataset(dataset_id=scope.dataset_id)
        except LangSmithNotFoundError:
            return True
        except Exception as error:
            logger.info("the dataset cannot be looked at: %s", error)
        return False
