"""Imported by the forkserver alone, first of all: a batch system's SIGTERM to the whole job must not end it.

Its end is the end of every worker. It ends when the supervisor does, because nobody holds its pipe any more.
And daemons that targets start become its children, so that the supervisor finds them.

The collector rests until everything is imported (`settled`): it would walk through the imports again and again, for
a fifth of their time, and find next to nothing.
"""

from __future__ import annotations

import gc
import signal
import sys
import warnings
from types import TracebackType

from evalrunner.engines.leftovers import take_orphans


def _for_once(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Be silent about what the system refuses: the supervisor sees that we have ended, and says why in a sentence."""
    if not isinstance(error, (OSError, EOFError)):
        sys.__excepthook__(kind, error, trace)


gc.disable()
sys.excepthook = _for_once
signal.signal(signal.SIGTERM, signal.SIG_IGN)
take_orphans()
# It reaps every child, and is surprised by those that it has not started (forkserver.py, `main`).
warnings.filterwarnings("ignore", "forkserver: waitpid returned unexpected pid")
