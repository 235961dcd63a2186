"""Errors that may be the process's and not the item's: what they look like, and when two are of one kind.

A process can be spoilt for good by one item (no descriptors left, its folder removed, its event loop closed), and
then every later item fails in it, through no fault of its own.
"""

from __future__ import annotations

import re

#: Failures held back for which a worker begins nothing more, and is retired.
ENOUGH = 3
#: By what the text of an error says, its traceback included: libraries wrap what the system told them.
_PROCESS = re.compile(
    r"\[Errno (23|24)\]|Error\((23|24),|Too many open files"  # ENFILE, EMFILE
    r"|MemoryError|Cannot allocate memory|\[Errno 12\]"
    r"|can't start new thread|Resource temporarily unavailable"
    r"|Event loop is closed|cannot schedule new futures after"
    r"|BrokenProcessPool|BrokenThreadPool|A process in the process pool was terminated"
    r"|CUDA error|CUDA out of memory|device-side assert|CUBLAS_STATUS|CUDNN_STATUS"
    r"|I/O operation on closed file",
)
_KIND = re.compile(r"[\w.]+(\(\d+)?")


def may_be_the_process(error: str) -> bool:
    """Tell whether an error, as the run carries it, may come from the state of the process that it happened in."""
    return _PROCESS.search(error) is not None


def kind_of(error: str) -> str:
    """Return what two errors must share to be of one kind: the type, and the number of what the system says."""
    found = _KIND.match(error.strip())
    return found[0] if found else error[:40]
