"""What a run prints, and what it keeps to itself."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, Finished, assert_whole

TARGETS = Path(__file__).resolve().parent / "targets"
LOUD = ("--target", f"{TARGETS}/troubles.py:loud", "--evaluator", f"{TARGETS}/judges.py:right")


def test_the_target_never_speaks_on_the_terminal(
    backend: Backend, command: Callable[..., Finished], tmp_path: Path
) -> None:
    done = command(
        "--dataset", backend.dataset(5).name, "--workers", "2", "--run-dir", "run", "--json", *LOUD
    )
    assert done.code == 0, done.err
    assert "LOUD" not in done.out + done.err
    assert "View the evaluation results" not in done.out + done.err, "the SDK's own words stay inside too"
    written = "".join(path.read_text() for path in (tmp_path / "run" / "logs").glob("worker-*.log"))
    for words in ("stdout of the target", "stderr of the target", "descriptor 1", "descriptor 2", "LOUD log"):
        assert written.count(words) == 5, words
    assert written.count("LOUD shell") == 10
    document = json.loads(done.out)
    assert document == json.loads((tmp_path / "run" / "receipt.json").read_bytes())
    for path in [tmp_path / "run", *(tmp_path / "run").rglob("*")]:
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, f"{path} is for its owner alone"


def test_quiet_is_one_line(backend: Backend, command: Callable[..., Finished]) -> None:
    done = command("--dataset", backend.dataset(3).name, "--workers", "1", "--quiet", *LOUD)
    assert (done.code, done.err) == (0, ""), done.err
    assert done.out == "All 3 items are visible; nothing was lost.\n"


def test_no_key_anywhere_on_disk(backend: Backend, command: Callable[..., Finished], tmp_path: Path) -> None:
    done = command("--dataset", backend.dataset(2).name, "--workers", "1", "--run-dir", "run", *LOUD)
    assert done.code == 0, done.err
    key = backend.endpoint.key.encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if key in path.read_bytes()] == []


def test_live_posts_when_a_run_starts_and_patches_when_it_ends(
    backend: Backend, run: Callable[..., Receipt], log: ExecutionLog
) -> None:
    receipt = run("kinds.py:sync", "judges.py:right", dataset=backend.dataset(8).name, live=True)
    assert receipt.exit_code == 0, receipt
    name = receipt.experiment["name"]
    assert_whole(backend.client, name, keys=["right"], children=1)
    assert log.counts() == {str(number): 1 for number in range(8)}
    roots = [one for one in backend.truth(name)["runs"].values() if one["is_root"]]
    assert {(one["post"], one["patch"]) for one in roots} == {(1, 1)}


def test_otherwise_a_run_is_posted_once_and_complete(backend: Backend, run: Callable[..., Receipt]) -> None:
    receipt = run("kinds.py:sync", "judges.py:right", dataset=backend.dataset(8).name)
    arrived = backend.truth(receipt.experiment["name"])
    assert {(one["post"], one["patch"]) for one in arrived["runs"].values()} == {(1, 0)}
    assert arrived["counts"]["complete_roots"] == 8
