"""Where a push works: a folder that one push at a time holds, and in it the index of what there is to push.

.evalrunner/push/<source experiment>-<hash of the destination and the copy's name>/
    lock           held while a push runs
    index.sqlite   while a push runs: ids, times, and what has become of each trace

Nothing is kept: what was accepted is asked for at the destination, by ids that are the same each time. If the
process dies, its index stays until the next push, which makes a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from evalrunner.config import Endpoint
from evalrunner.transfer.upload.folder import INDEX, locked, place_of
from evalrunner.transfer.upload.index import Index, writing

_BUSY = "another push of this experiment is running"


@contextlib.contextmanager
def opened(root: Path, source: str, endpoint: Endpoint, name: str) -> Iterator[Index]:
    """Yield an empty index.

    Args:
        source: id of the experiment.
        endpoint, name: where it goes, and how it is called there.

    Raises:
        RunFolderError: the folder cannot be written, or another push holds it.
    """
    named = f"{place_of(endpoint)}|{endpoint.workspace}|{name}"
    path = root.absolute() / f"{source}-{hashlib.sha256(named.encode()).hexdigest()[:12]}"
    with locked(path, _BUSY):
        (path / INDEX).unlink(missing_ok=True)
        index = Index(path / INDEX, fresh=True)
        try:
            with writing(index.path, begun=False):
                index.db.executescript(files(__package__).joinpath("index.sql").read_text())
            yield index
        finally:
            index.close()
            (path / INDEX).unlink(missing_ok=True)
