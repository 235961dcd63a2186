"""A hash that is made beside the reading is the hash of what was read, and ends with it."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from evalrunner.transfer.files import Inputs
from evalrunner.transfer.upload.hashing import Hashing


def threads() -> int:
    """Return how many are hashing."""
    return sum(one.name == "evalrunner-hashing" for one in threading.enumerate())


def test_of_every_piece_in_order() -> None:
    pieces = [bytes([n % 256]) * (n * 37 % 5000) for n in range(300)]
    with Hashing() as hashing:
        for piece in pieces:
            hashing.update(piece)
        assert hashing.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
        assert hashing.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert threads() == 0


def test_it_ends_with_what_goes_wrong() -> None:
    def read() -> None:
        with Hashing() as hashing:
            hashing.update(b"a")
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        read()
    assert threads() == 0


def test_the_fingerprint_is_the_same_on_a_thread(tmp_path: Path) -> None:
    line = b'{"id": "a", "run_type": "llm", "start_time": "2025-03-01T09:00:00Z"}\n'
    (tmp_path / "runs.jsonl").write_bytes(line * 40_000)
    with Inputs([tmp_path / "runs.jsonl"], tmp_path) as inputs, Hashing() as hashing:
        for _ in inputs.elements():
            pass
        alone = inputs.fingerprint
        assert sum(1 for _ in inputs.elements(1 << 16, hashing)) == 40_000
        assert inputs.fingerprint == hashing.hexdigest() == alone
