"""New interpreters that import nothing from the current folder.

With `-c` and `-m` Python looks there first (until 3.11 no switch changes that), and a user's `random.py`, `queue.py`
or `langsmith.py` would be taken for the module that our own processes are built on.
"""

from __future__ import annotations

from pathlib import Path

#: `sys` is built in. Where this package was found through the current folder, its place is named in full.
_PLACE = str(Path(__file__).resolve().parent.parent)
_AWAY = f"import sys; sys.path[:] = [*filter(None, sys.path), {_PLACE!r}]; "


def away_from_here(code: str) -> str:
    """Return code for `python -c` that does the same without the current folder on the import path."""
    return _AWAY + code
