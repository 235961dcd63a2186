"""The run's folder: private, and one supervisor's at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from evalrunner.errors import ExperimentBusy, RunFolderError
from evalrunner.supervisor.setup import folder as room
from evalrunner.supervisor.setup.folder import RunFolder

_HOLDER = """
import sys
from pathlib import Path
from evalrunner.supervisor.setup.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_in_it_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = RunFolder(tmp_path / "new" / "run")
        folder.write_receipt(b"{}")
    finally:
        os.umask(before)
    for path in (tmp_path / "new", folder.path, folder.spool, folder.boards, folder.logs):
        assert mode(path) == 0o700, path
    for path in (folder.path / "lock", folder.receipt):
        assert mode(path) == 0o600, path
    folder.close()


def test_a_folder_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    RunFolder(tmp_path / "run").close()
    assert mode(tmp_path / "run") == 0o700
    assert mode(tmp_path) == mode(tmp_path)


def test_nothing_is_left_of_a_run_that_never_began_but_its_logs(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.spool / "000001.spool").write_bytes(b"")
    (folder.logs / "worker-0.log").write_text("a traceback")
    folder.ledger.write_bytes(b"")
    folder.clear()
    assert [path.relative_to(folder.path) for path in folder.path.rglob("*")] == [
        Path("logs"),
        Path("logs/worker-0.log"),
    ]
    folder.close()


def test_the_receipt_is_replaced_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_receipt(b"first and long")
    folder.write_receipt(b"second")
    assert folder.receipt.read_bytes() == b"second"
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "boards", "lock", "logs", "receipt.json", "spool",
    ]  # fmt: skip
    folder.close()


def test_a_second_run_is_told_who_holds_it_and_gets_it_when_that_one_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ExperimentBusy, match=rf"\(pid {holder.pid}\)"):
            RunFolder(tmp_path / "run")
        holder.kill()
        holder.wait(60)
    folder = RunFolder(tmp_path / "run")
    assert (folder.path / "lock").read_text() == f"{os.getpid()}\n"
    folder.close()
    RunFolder(tmp_path / "run").close()


def test_a_lock_is_not_inherited(tmp_path: Path) -> None:
    """A worker that outlives its supervisor must not keep the next run out."""
    folder = RunFolder(tmp_path / "run")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    folder.close()
    RunFolder(tmp_path / "run").close()
    child.communicate(timeout=60)


def test_a_file_in_the_way_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        RunFolder(tmp_path / "run")


@pytest.mark.parametrize("name", ["run", "run/spool", "run/boards", "run/logs"])
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir(exist_ok=True)
    link = tmp_path / name
    if link.exists():
        link.rmdir()
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="is a link"):
        RunFolder(tmp_path / "run")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_linked_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError):
        RunFolder(tmp_path / "run")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_is_heard_of_before_the_first_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "NEEDED_BYTES", 2**62)
    with pytest.raises(RunFolderError, match=r"KiB left; a run needs at least .* --run-dir"):
        RunFolder(tmp_path / "run")
