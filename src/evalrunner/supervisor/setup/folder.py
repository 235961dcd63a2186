"""The run's folder: one per experiment, private, and held by one supervisor at a time.

<run dir>/lock           held with flock while a supervisor lives; the kernel frees it at its death
          ledger.sqlite
          spool/         one file per worker process that ever was
          boards/        what each worker was executing
          logs/          what each worker printed
          modules/       names for files whose own name is another module's (worker/code/files.py)
          receipt.json
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from evalrunner.errors import ExperimentBusy, RunFolderError
from evalrunner.shortage import shortage

#: A disk with less than this cannot hold a run's first segment; better to hear it before the first item.
NEEDED_BYTES = 16 * 1024 * 1024


class RunFolder:
    """An open, locked run folder.

    Raises:
        RunFolderError: it cannot be made or written, or its disk is full.
        ExperimentBusy: another run holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            for folder in (self.path, self.spool, self.boards, self.logs):
                _private(folder)
            self._lock = os.open(
                self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            found = shortage(error, self.path)
            raise RunFolderError(
                f"the run folder {self.path} cannot be written: {found.cause}; {found.remedy}, or give another "
                "with --run-dir"
            ) from error
        self._hold()
        try:
            self._check_space()
        except RunFolderError:
            os.close(self._lock)
            raise

    @property
    def spool(self) -> Path:
        """Where workers' spools are."""
        return self.path / "spool"

    @property
    def boards(self) -> Path:
        """Where workers' boards are."""
        return self.path / "boards"

    @property
    def logs(self) -> Path:
        """Where workers' output is."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """The ledger's file."""
        return self.path / "ledger.sqlite"

    @property
    def receipt(self) -> Path:
        """The last receipt."""
        return self.path / "receipt.json"

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):  # a file system without locks, say
                os.close(self._lock)
                raise RunFolderError(
                    f"the run folder {self.path} cannot be locked ({error.strerror}), and without a lock two runs "
                    "might write in it: give a folder on a local disk with --run-dir"
                ) from error
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            os.close(self._lock)
            raise ExperimentBusy(
                f"another evalrunner (pid {holder or 'unknown'}) is running this experiment in {self.path}; "
                "--wait waits for its end"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _check_space(self) -> None:
        stat = os.statvfs(self.path)
        free = stat.f_bavail * stat.f_frsize
        if free < NEEDED_BYTES:
            raise RunFolderError(
                f"the disk of {self.path} has {free // 1024} KiB left; a run needs at least "
                f"{NEEDED_BYTES // 1024 // 1024} MiB: free some space or give another folder with --run-dir"
            )

    def write_receipt(self, data: bytes) -> None:
        """Replace the receipt, whole or not at all."""
        fresh = self.path / "receipt.json.new"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.receipt)

    def clear(self) -> None:
        """Empty it after a run that never began, but for its workers' logs: a traceback may be in them."""
        for path in self.path.iterdir():
            if path.is_dir() and path != self.logs:
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()

    def forget(self) -> None:
        """Remove the ledger of a run that never began; it is ours to hold all the while."""
        for path in self.path.glob(f"{self.ledger.name}*"):
            path.unlink()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._lock)


def _private(folder: Path) -> None:
    missing = [folder, *folder.parents]
    for part in reversed([each for each in missing if not each.exists()]):
        part.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise RunFolderError(f"{folder} is a link or belongs to somebody else; give another with --run-dir")
    folder.chmod(0o700)
