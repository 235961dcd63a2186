"""The project to which recorded traces go, and what it says of the uploads that it has had.

By how much times move is fixed by the first upload into a project, and stands in the project's metadata: whoever
uploads the same file again, tomorrow or from another machine, makes the same ids, and adds nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langsmith import Client

from evalrunner.clock import SYSTEM
from evalrunner.errors import ConfigError, DataError, ServiceError
from evalrunner.service.errors import host
from evalrunner.transfer.remote.calls import get, named, post
from evalrunner.transfer.upload.shift import ROOM, Extent, Mode, Shift, choose, read_shift, spelt
from evalrunner.verify import transfers
from evalrunner.verify.codes import Finding

#: Key of our facts in the project's metadata.
FACTS = "evalrunner_upload"


@dataclass(frozen=True)
class Project:
    """A project there.

    Attributes:
        id: None while there is none.
        shift: fixed by an earlier upload, or None.
    """

    name: str
    id: str | None = None
    shift: Shift | None = None


def find(client: Client, name: str) -> Project:
    """Return the project of this name, which may not exist.

    Raises:
        ServiceError: it is an experiment, or what it says of earlier uploads cannot be read.
    """
    found = named(client, "/sessions", name)
    if found is None:
        return Project(name)
    if found.get("reference_dataset_id"):
        raise ServiceError(
            f"{name!r} at {host(client.api_url)} is an experiment; recorded traces go to a tracing project: "
            "name another with --project"
        )
    facts = _metadata(found).get(FACTS)
    try:
        shift = Shift.from_facts(facts["shift"]) if facts else None
    except (KeyError, TypeError, ValueError):
        raise ServiceError(
            f"the project {name!r} says {FACTS!r} in its metadata, in a form that this evalrunner does not read; "
            "update evalrunner, or name another project"
        ) from None
    return Project(name, str(found["id"]), shift)


def _metadata(found: dict[str, Any]) -> dict[str, Any]:
    return dict((found.get("extra") or {}).get("metadata") or {})


def choose_shift(project: Project, wanted: str | None, extent: Extent, now: int) -> Shift:
    """Return the shift that the project has, or the one that a first upload fixes.

    Args:
        wanted: what `--shift` was given, if it was.
        extent: of the sound traces.
        now: microseconds.

    Raises:
        ConfigError: the project has another.
        DataError: with it, traces lie where no service takes them.
    """
    mode, delta = read_shift(wanted or "now")
    if project.shift is None:
        return choose(mode, delta, extent, now)
    _refuse_another(project, wanted, mode, delta)
    return project.shift


def _refuse_another(project: Project, wanted: str | None, mode: Mode, delta: int) -> None:
    fixed = project.shift
    assert fixed is not None, "it is called for a project that has one"
    if wanted is None or (mode == fixed.mode and (mode != "delta" or delta == fixed.constant)):
        return
    raise ConfigError(
        f"the project {project.name!r} has uploads with --shift {_said(fixed)}, and all its traces move alike, so "
        f"that none is there twice; leave --shift {wanted} out, or name another --project"
    )


def _said(shift: Shift) -> str:
    return shift.mode if shift.mode != "delta" else f"{shift.to / 1_000_000:+g}s"


def early(shift: Shift, extent: Extent, now: int) -> Finding | None:
    """Say that the earliest traces are too old for a service, if they are."""
    first = extent.oldest + shift.of(extent.oldest)
    if first >= now - ROOM:
        return None
    return transfers.runs_early(spelt(now - first))


def make(client: Client, project: Project, shift: Shift) -> Project:
    """Make the project, or tell the one that is there, and return it as it is then.

    Raises:
        DataError: another upload was faster, and has fixed another shift.
    """
    facts = {"shift": shift.to_facts(), "first_upload": SYSTEM.utcnow().isoformat()}
    if project.id is None:
        body = {"id": str(uuid4()), "name": project.name, "extra": {"metadata": {FACTS: facts}}}
        with contextlib.suppress(ServiceError):  # somebody was faster
            post(client, "/sessions", body)
        project = find(client, project.name)
    if project.id is not None and project.shift is None:
        there = get(client, f"/sessions/{project.id}")
        extra = {**(there.get("extra") or {}), "metadata": {**_metadata(there), FACTS: facts}}
        client.request_with_retries(
            "PATCH",
            f"/sessions/{project.id}",
            request_kwargs={"json": {"extra": extra}},
            stop_after_attempt=3,
        )
    made = find(client, project.name)
    if made.id is None or made.shift != shift:
        raise DataError(
            f"another upload into {project.name!r} has begun at the same time; run this one again, and it takes over "
            "how that one moves the times"
        )
    return made
