"""The first words with LangSmith: a client for it, and whether it knows what was named.

Each failure is one sentence.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import datetime, timezone
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from langsmith import Client
from langsmith import utils as sdk
from langsmith.schemas import Dataset, TracerSession
from urllib3 import BaseHTTPResponse, Retry

from evalrunner.config import Endpoint
from evalrunner.errors import ServiceError
from evalrunner.service.answers import refuse_strange
from evalrunner.service.errors import first_line, host, told

#: Names looked through when one is not known.
_NAMES = 300
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: Seconds of a Retry-After that are believed; the SDK would sleep for as long as the service says.
_LONGEST_RETRY_AFTER = 10.0
T = TypeVar("T")


class _Retry(Retry):
    """As the SDK retries (client.py:646), within limits."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return the seconds that the service asks for, or the most that we grant."""
        asked = super().get_retry_after(response)
        return None if asked is None else min(asked, _LONGEST_RETRY_AFTER)


def _retries(status: int) -> Retry:
    return _Retry(
        total=max(1, status),
        status=status,
        # A connection that has grown stale gets a second try; a service that never answers costs 30 s each time.
        read=1,
        status_forcelist=(408, 425, 429, 500, 502, 503, 504),
        allowed_methods=None,
        backoff_factor=0.5,
        raise_on_redirect=False,
        raise_on_status=False,
    )


def make_client(endpoint: Endpoint, *, retries: int = 3, patience: float = 30.0) -> Client:
    """Return an SDK client for the supervisor's own calls; it sends no traces.

    Args:
        retries: after an answer such as 500, within each attempt at a request; 0 for whoever asks again by himself.
        patience: seconds for each answer.

    Raises:
        ServiceError: the SDK refuses its environment.
    """
    if urlsplit(endpoint.url).hostname in LOOPBACK:
        _spare_proxies()
    try:
        client = Client(
            api_url=endpoint.url,
            api_key=endpoint.key,
            # "" and not None: the SDK would look into the environment again.
            workspace_id=endpoint.workspace or "",
            auto_batch_tracing=False,
            timeout_ms=(int(min(5.0, patience) * 1000), int(patience * 1000)),
            retry_config=_retries(retries),
            disable_prompt_cache=True,
            # It sends none; and for OpenTelemetry the SDK would want packages, and say so on the user's terminal.
            tracing_mode="langsmith",
            # A rate in the environment that is none would be refused, though nothing is sampled here.
            tracing_sampling_rate=1.0,
        )
    except sdk.LangSmithUserError as error:
        raise ServiceError(
            f"the LangSmith SDK cannot be used as it is configured: {first_line(error)}"
        ) from None
    client.session.hooks["response"].append(refuse_strange)
    return client


def _spare_proxies() -> None:
    """Keep loopback calls, ours and our children's, away from HTTP_PROXY."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        if known != ["*"]:
            os.environ[name] = ",".join([*known, *(host for host in LOOPBACK if host not in known)])


def find_experiment(client: Client, named: str) -> TracerSession:
    """Return an experiment by id or name.

    Raises:
        ServiceError: it does not exist (with near names), or is no experiment.
    """
    project = look_for_project(client, named)
    if project is None:
        raise ServiceError(
            f"no experiment {named!r} at {host(client.api_url)}{_near_experiment(client, named)}"
        )
    if project.reference_dataset_id is None:
        raise ServiceError(
            f"{project.name!r} is a tracing project, no experiment: it has no reference dataset; "
            "to create an experiment say --dataset NAME"
        )
    return project


def began(project: TracerSession) -> datetime:
    """Return when a project began, in UTC where the service does not say."""
    start = project.start_time
    return start if start.tzinfo else start.replace(tzinfo=timezone.utc)


def session_facts(client: Client, experiment: UUID) -> dict[str, Any]:
    """Return an experiment as `GET /sessions/{id}` answers, with what the SDK's model leaves out.

    Raises:
        ServiceError: the service does not answer.
    """
    with told(client):
        answer = client.request_with_retries("GET", f"/sessions/{experiment}", stop_after_attempt=3).json()
    return answer if isinstance(answer, dict) else {}


def look_for_project(client: Client, named: str) -> TracerSession | None:
    """Return a project, which may be an experiment, by id or name, or None."""
    return _either(
        client,
        named,
        lambda: client.read_project(project_id=named),
        lambda: client.read_project(project_name=named),
    )


def find_project(client: Client, named: str, *, experiment: bool = False) -> TracerSession:
    """Return a project, which may be an experiment, by id or name.

    Args:
        experiment: it must be one.

    Raises:
        ServiceError: it does not exist (with near names), or is no experiment.
    """
    project = look_for_project(client, named)
    if project is None:
        with told(client):
            kind = client.list_projects(reference_free=False if experiment else None, limit=_NAMES)
            near = _near(named, [one.name for one in kind if one.name])
        what = "experiment" if experiment else "project"
        raise ServiceError(f"no {what} {named!r} at {host(client.api_url)}{near}")
    if experiment and project.reference_dataset_id is None:
        raise ServiceError(
            f"{project.name!r} is a tracing project, no experiment: it has no reference dataset; name it as a project"
        )
    return project


def find_dataset(client: Client, named: str) -> Dataset:
    """Return a dataset by id or name.

    Raises:
        ServiceError: it does not exist (with near names).
    """
    dataset = look_for_dataset(client, named)
    if dataset is None:
        with told(client):
            names = [one.name for one in islice(client.list_datasets(), _NAMES)]
        raise ServiceError(f"no dataset {named!r} at {host(client.api_url)}{_near(named, names)}")
    return dataset


def look_for_dataset(client: Client, named: str) -> Dataset | None:
    """Return a dataset by id or name, or None."""
    return _either(
        client,
        named,
        lambda: client.read_dataset(dataset_id=named),
        lambda: client.read_dataset(dataset_name=named),
    )


def _either(client: Client, named: str, by_id: Callable[[], T], by_name: Callable[[], T]) -> T | None:
    """Look something up by id if it reads as one, then by name: a name may look like an id."""
    for way in [by_id, by_name] if _is_id(named) else [by_name]:
        with told(client), contextlib.suppress(sdk.LangSmithNotFoundError):
            return way()
    return None


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _near_experiment(client: Client, named: str) -> str:
    with told(client):
        if look_for_dataset(client, named):
            return "; a dataset has this name: say --dataset to create an experiment over it"
        names = [one.name for one in client.list_projects(reference_free=False, limit=_NAMES)]
    return _near(named, [name for name in names if name])


def _near(named: str, names: list[str]) -> str:
    lower = {name.lower(): name for name in names}
    near = [lower[name] for name in get_close_matches(named.lower(), lower, n=3, cutoff=0.5)]
    near += [name for name in names if named.lower() in name.lower() and name not in near]
    if near:
        return f"; did you mean {' or '.join(repr(name) for name in near[:3])}?"
    return (
        f"; there are, for example, {', '.join(repr(name) for name in names[:3])}"
        if names
        else "; there are none yet"
    )
