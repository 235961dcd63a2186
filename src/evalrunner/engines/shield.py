"""Imported by the forkserver alone, first of all: a batch system's SIGTERM to the whole job must not end it.

Its end is the end of every worker. It ends when the supervisor does, because nobody holds its pipe any more.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
