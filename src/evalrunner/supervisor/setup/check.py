"""What `--plan` asks a worker: can target and evaluators be imported, and what are they?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from evalrunner.config import Endpoint, RunConfig
from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.errors import TargetError
from evalrunner.protocol.reports import Ready, StartFailed
from evalrunner.protocol.worker import WorkerOrder, exit_reason
from evalrunner.supervisor.setup.environment import worker_environment


@contextlib.contextmanager
def preflight(
    engine: Engine, config: RunConfig, endpoint: Endpoint, log: Path
) -> Iterator[Callable[[], Ready]]:
    """Start a worker that imports what the user named, and yield what waits for its answer.

    The answer raises TargetError if it cannot, or not within `setup_timeout` seconds. Whatever happens, the process
    is gone afterwards.
    """
    env = worker_environment(config, endpoint, 0, config.workers)
    process = engine.start(WorkerOrder(0, 0, config.spec, config.worker, endpoint, log, "check", env))
    end = time.monotonic() + config.setup_timeout
    try:
        yield lambda: _answer(engine, process, config.setup_timeout, end)
    finally:
        process.kill()
        process.join(10.0)
        process.close()


def _answer(engine: Engine, process: WorkerProcess, limit: float, end: float) -> Ready:
    while True:
        engine.wait(0.25)
        late = time.monotonic() > end
        # Asked first: what it said before it ended is still in the pipe.
        ended = process.exitcode()
        for message in process.receive() if ended is None else process.last_words():
            if isinstance(message, Ready):
                return message
            if isinstance(message, StartFailed):
                raise TargetError(message.error)
        if ended is not None:
            raise TargetError(f"the process that imported target and evaluators {exit_reason(ended)}")
        if late:
            raise TargetError(f"target and evaluators were still loading after {limit:g} s (--setup-timeout)")
