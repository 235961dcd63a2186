"""Uploads from a folder into a project, a trace that has everything, and what has become of it."""

from __future__ import annotations

import base64
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from evalrunner.transfer.upload.session import upload
from evalrunner.transfer.upload.summary import Uploaded, UploadOptions
from tests.support.recorded import TYPES
from tests.support.rig import Backend


class Desk:
    """Uploads from one folder into one project."""

    def __init__(self, backend: Backend, folder: Path, project: str) -> None:
        self.backend, self.folder, self.project = backend, folder, project
        self.notes: list[str] = []

    def upload(self, *paths: Path, **options: Any) -> Uploaded:
        told = {"root": self.folder / ".evalrunner" / "upload", "verify": "content", **options}
        return upload(self.backend.endpoint, UploadOptions(paths, self.project, **told), self.notes.append)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return the runs of the project by their names, whole, as the older generation of reads gives them."""
        client = self.backend.client
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = list(client.list_runs(project_name=self.project))
        assert len({run.id for run in found}) == len(found)
        return {run.name: run.model_dump(mode="json") for run in found}

    def count(self) -> int:
        project = self.backend.client.read_project(project_name=self.project)
        truth = self.backend.truth(str(project.id))
        return len(truth["runs"])


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def corpus() -> list[dict[str, Any]]:
    """One trace that has everything: every type, odd values, zones, files, scores, an open run."""
    root: dict[str, Any] = {
        "id": "root 1", "name": "root", "run_type": "chain", "start_time": "2024-05-01T10:00:00",
        "end_time": "2024-05-01T10:00:09.123456789Z", "inputs": {"q": "ünï\u2028 \U0001f600", "big": 2**63 - 1},
        "outputs": {"a": [1.0, 0.1, -0.0, 1e22], "none": None}, "tags": ["a", "b"], "extra": {
            "metadata": {"tenant": "x", "usage_metadata": {"total_tokens": 7}}, "runtime": {"sdk": "other"}},
        "events": [{"name": "start", "time": "2024-05-01T15:30:00+05:30"}, {"name": "odd", "time": "whenever"}],
        "attachments": {"note.txt": {"mime_type": "text/plain", "data": base64.b64encode(b"\x00hello").decode()}},
        "feedback": [{"id": "f1", "key": "good", "score": 1, "comment": "so"}, {"key": "good", "score": 0.5},
                     {"key": "label", "value": "red"}],
    }  # fmt: skip
    runs = [root]
    for number, kind in enumerate(TYPES):
        start = datetime(2024, 5, 1, 10, 0, number, tzinfo=timezone(timedelta(hours=-8)))
        start = start - timedelta(hours=8)  # the same day, written in another zone
        runs.append(
            {
                "id": number, "name": f"child {kind}", "run_type": kind,
                "parent_run_id": "root 1" if number < 3 else number - 1,
                "start_time": start.isoformat(), "end_time": (start + timedelta(milliseconds=5)).isoformat(),
                "inputs": {"n": number}, "outputs": {"n": -number}, "serialized": {"kind": kind},
            }
        )  # fmt: skip
    runs[2] |= {"error": "ValueError('é')\n  line", "outputs": None}
    runs[3]["end_time"] = None
    return runs
