"""Folders: may they be written, are they network file systems, is there room."""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.words import size
from evalrunner.doctor.machine.looking.places import Place

#: Types of file systems whose disk is another machine's (mountinfo's names).
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "afs", "ocfs2", "gfs2",
     "pvfs2", "orangefs", "panfs", "wekafs", "vastnfs", "9p", "virtiofs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph",
     "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "fuse.blobfuse2"}
)  # fmt: skip
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
#: What a run needs at the least (supervisor/setup/folder.py), and what is little.
_NEEDED, _LITTLE = 16 << 20, 1 << 30
_SLOW = 0.1


def judge(seen: Place) -> Iterator[Check]:
    """Yield what there is to say of a folder that a run writes in: one thing, the worst."""
    check = _unfit(seen) or _doubtful(seen)
    yield check or Check(seen.code, Status.OK, f"{seen.path}: {_described(seen)}")


def judge_temporary(seen: Place | None) -> Iterator[Check]:
    """Yield what there is to say of the folder for temporary files (None: there is none)."""
    if seen is None:
        yield Check(
            "temporary",
            Status.FAILURE,
            "no folder for temporary files can be written, not TMPDIR, /tmp nor the current one",
            "name one in TMPDIR",
        )
        return
    if "noexec" in seen.options and seen.refused is None:
        yield Check(
            seen.code,
            Status.NOTE,
            f"{seen.path} is mounted noexec: a target that compiles there (Triton, torch.compile) cannot run that",
            "if yours does, name another folder in TMPDIR",
        )
        return
    yield from judge(seen)


def judge_shared(seen: Place) -> Iterator[Check]:
    """Yield what there is to say of /dev/shm: process pools make their semaphores there."""
    if seen.there != seen.path or seen.refused is not None:
        why = seen.refused.cause if seen.refused else f"there is no {seen.path}"
        yield Check(
            seen.code,
            Status.WARNING,
            f"{why}: a target that uses process pools or queues (multiprocessing, torch) cannot make them",
            f"have {seen.path} mounted for writing",
        )
    else:
        yield Check(seen.code, Status.OK, f"{seen.path}: {_described(seen)}")


def _unfit(seen: Place) -> Check | None:
    instead = "name another one with --run-dir" if seen.code == "runs" else "name another one"
    if seen.code == "store":
        instead = "name another file with --store"
    if seen.code == "temporary":
        instead = "name another one in TMPDIR"
    if seen.refused is not None:
        cause = _about(seen) + seen.refused.cause
        return Check(seen.code, Status.FAILURE, cause, f"{seen.refused.remedy}, or {instead}")
    if seen.unlockable and seen.code != "temporary":
        return Check(
            seen.code,
            Status.FAILURE,
            f"{_about(seen)}files in {seen.there} cannot be locked ({seen.unlockable}), and two runs might write "
            "in one",
            instead,
        )
    if seen.free is not None and seen.free < _NEEDED:
        return Check(
            seen.code,
            Status.FAILURE if seen.code == "runs" else Status.WARNING,
            f"{seen.path}: {size(seen.free)} left; a run needs at least {size(_NEEDED)}",
            f"make room, or {instead}",
        )
    return None


def _doubtful(seen: Place) -> Check | None:
    if seen.kind in NETWORK and seen.code != "temporary":
        return Check(
            seen.code,
            Status.WARNING,
            f"{seen.path} is on a network file system ({seen.kind}): whether what was synced survives a power cut, "
            "and whether a lock holds on another machine, is up to it",
            "give a folder on a local disk "
            + ("with --store" if seen.code == "store" else "with --run-dir")
            + ", and use it from one machine at a time",
        )
    if seen.kind in _IN_MEMORY and seen.code != "temporary":
        return Check(
            seen.code,
            Status.WARNING,
            f"{seen.path} is in memory ({seen.kind}): what it holds is gone after a restart, and counts as memory",
            "give a folder on a disk " + ("with --store" if seen.code == "store" else "with --run-dir"),
        )
    if seen.files_left is not None and seen.files_left < 1000:
        return Check(
            seen.code,
            Status.WARNING,
            f"{seen.path}: only {seen.files_left:,} more files can be made",
            "remove some there",
        )
    if seen.free is not None and seen.free < _LITTLE:
        return Check(
            seen.code,
            Status.NOTE,
            f"{seen.path}: {size(seen.free)} left",
            "every finished trace is written there once: make room for a large run",
        )
    if seen.synced is not None and seen.synced > _SLOW and seen.code == "runs":
        return Check(
            seen.code,
            Status.NOTE,
            f"{seen.path}: the disk took {seen.synced:.2f} s to sync 4 KiB; what a worker has finished waits for it",
            "a local disk is faster: --run-dir",
        )
    return None


def _about(seen: Place) -> str:
    """Name the folder where a sentence about the nearest one that exists would not."""
    return "" if seen.path == seen.there else f"{seen.path} is not there yet, and "


def _described(seen: Place) -> str:
    parts = [seen.kind] if seen.kind else []
    if seen.free is not None:
        parts.append(f"{size(seen.free)} left")
    if seen.synced is not None:
        parts.append(f"synced in {seen.synced * 1000:.0f} ms")
    return ", ".join(parts) or "can be written"
