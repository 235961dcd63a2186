"""The first words with LangSmith: is it there, does it take the key, does it know what was named.

Each failure is one sentence. The SDK's own messages are not passed on: they run over several lines and carry
part of the key.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import requests
from langsmith import Client
from langsmith import utils as sdk
from langsmith.schemas import Dataset, LangSmithInfo, TracerSession
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from evalrunner.config import Endpoint
from evalrunner.errors import ServiceError

#: Seconds in which `check` has an answer or gives up; name resolution has no timeout of its own.
PATIENCE = 5.0
_TIMEOUT = (2.0, 4.0)
#: Names looked through when one is not known.
_NAMES = 300
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
T = TypeVar("T")


def make_client(endpoint: Endpoint) -> Client:
    """Return an SDK client for the supervisor's own calls; it sends no traces."""
    if urlsplit(endpoint.url).hostname in _LOOPBACK:
        _spare_proxies()
    return Client(
        api_url=endpoint.url,
        api_key=endpoint.key,
        # "" and not None: the SDK would look into the environment again.
        workspace_id=endpoint.workspace or "",
        auto_batch_tracing=False,
        timeout_ms=(2_000, 30_000),
        disable_prompt_cache=True,
    )


def _spare_proxies() -> None:
    """Keep loopback calls, ours and our children's, away from HTTP_PROXY."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        if known != ["*"]:
            os.environ[name] = ",".join([*known, *(host for host in _LOOPBACK if host not in known)])


def check(client: Client) -> LangSmithInfo:
    """Return what the service says of itself, once it is known to be there and to take the key.

    Raises:
        ServiceError: it is not, or does not; within 5 seconds.
    """
    where = _host(client.api_url)
    try:
        return _within(PATIENCE, lambda: _check(client, where))
    except TimeoutError:
        raise ServiceError(f"LangSmith at {where} does not answer within {PATIENCE:.0f} s") from None


def _check(client: Client, where: str) -> LangSmithInfo:
    with _session(client) as session:
        info = _get(session, client, "/info", where)
        if not isinstance(info, dict) or "version" not in info:
            raise ServiceError(
                f"{where} answers, but not as LangSmith does; is LANGSMITH_ENDPOINT its API address?"
            )
        _get(session, client, "/sessions?limit=1", where)
        return LangSmithInfo(**info)


def _session(client: Client) -> requests.Session:
    session = requests.Session()
    adapter = HTTPAdapter(
        max_retries=Retry(
            total=2,
            connect=0,
            read=0,
            status=2,
            status_forcelist=(429, 502, 503, 504),
            backoff_factor=0.3,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
    )
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers["x-api-key"] = client.api_key or ""
    if client.workspace_id:
        session.headers["X-Tenant-Id"] = client.workspace_id
    return session


def _get(session: requests.Session, client: Client, path: str, where: str) -> Any:
    try:
        response = session.get(f"{client.api_url}{path}", timeout=_TIMEOUT)
    except requests.exceptions.SSLError:
        raise ServiceError(f"the certificate of LangSmith at {where} is not trusted here") from None
    except requests.exceptions.ProxyError:
        raise ServiceError(f"the proxy on the way to LangSmith at {where} cannot be used") from None
    except requests.exceptions.Timeout:
        raise ServiceError(f"LangSmith at {where} does not answer in time") from None
    except (requests.exceptions.RequestException, UnicodeError) as error:
        raise ServiceError(f"LangSmith at {where} cannot be reached: {_cause(error)}") from None
    if response.status_code >= 400:
        raise ServiceError(_refusal(response, path, where))
    try:
        return response.json()
    except ValueError:
        return None


def _refusal(response: requests.Response, path: str, where: str) -> str:
    status = response.status_code
    if status == 403 and "org_scoped_key_requires_workspace" in response.text:
        return f"the API key is for a whole organisation at {where}: set LANGSMITH_WORKSPACE_ID"
    if status in (401, 403):
        return f"LangSmith at {where} refuses the API key ({status}); check LANGSMITH_API_KEY"
    if status == 404 and path == "/info":
        return f"{where} answers, but not as LangSmith does (404); is LANGSMITH_ENDPOINT its API address?"
    return f"LangSmith at {where} answers {status} now; nothing was executed, try again later"


def _cause(error: BaseException) -> str:
    text = str(error)
    for sign, words in (
        ("Connection refused", "connection refused"),
        ("NameResolution", "its name is not known here"),
        ("Failed to resolve", "its name is not known here"),
        ("No route to host", "no route to host"),
        ("Network is unreachable", "the network is unreachable"),
        ("reset by peer", "it closed the connection"),
        ("without response", "it closed the connection"),
    ):
        if sign in text:
            return words
    return type(error).__name__


def find_experiment(client: Client, named: str) -> TracerSession:
    """Return an experiment by id or name.

    Raises:
        ServiceError: it does not exist (with near names), or is no experiment.
    """
    project: TracerSession | None = _either(
        client,
        named,
        lambda: client.read_project(project_id=named),
        lambda: client.read_project(project_name=named),
    )
    if project is None:
        raise ServiceError(
            f"no experiment {named!r} at {_host(client.api_url)}{_near_experiment(client, named)}"
        )
    if project.reference_dataset_id is None:
        raise ServiceError(
            f"{project.name!r} is a tracing project, no experiment: it has no reference dataset; "
            "to create an experiment say --dataset NAME"
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
        near = _near(named, names) or ("; there are no datasets yet" if not names else "")
        raise ServiceError(f"no dataset {named!r} at {_host(client.api_url)}{near}")
    return dataset


def look_for_dataset(client: Client, named: str) -> Dataset | None:
    """Return a dataset by id or name, or None."""
    return _either(
        client,
        named,
        lambda: client.read_dataset(dataset_id=named),
        lambda: client.read_dataset(dataset_name=named),
    )


@contextlib.contextmanager
def told(client: Client) -> Iterator[None]:
    """Turn what the SDK raises into one sentence of ours; "not found" passes.

    Raises:
        ServiceError: the call failed.
    """
    where = _host(client.api_url)
    try:
        yield
    except sdk.LangSmithNotFoundError:
        raise
    except sdk.LangSmithAuthError:
        raise ServiceError(f"LangSmith at {where} refuses the API key; check LANGSMITH_API_KEY") from None
    except sdk.LangSmithConnectionError as error:
        raise ServiceError(f"LangSmith at {where} cannot be reached: {_cause(error)}") from None
    except sdk.LangSmithRateLimitError:
        raise ServiceError(f"LangSmith at {where} answers 429 (too many requests); try again later") from None
    except (sdk.LangSmithError, requests.exceptions.RequestException) as error:
        raise ServiceError(f"LangSmith at {where} failed: {_first_line(error)}") from None


def _either(client: Client, named: str, by_id: Callable[[], T], by_name: Callable[[], T]) -> T | None:
    """Look something up by id if it reads as one, then by name: a name may look like an id."""
    for way in [by_id, by_name] if _is_id(named) else [by_name]:
        with contextlib.suppress(sdk.LangSmithNotFoundError), told(client):
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
    return f"; did you mean {' or '.join(repr(name) for name in near[:3])}?" if near else ""


def _host(url: str) -> str:
    """Name an endpoint for people, without what may stand before an @."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def _first_line(error: BaseException) -> str:
    return str(error).split("\n", 1)[0][:200]


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise TimeoutError: a hanging name server cannot be interrupted."""
    outcome: list[T] = []
    failures: list[BaseException] = []

    def attempt() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=attempt, name="evalrunner-check", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not outcome:
        raise TimeoutError
    return outcome[0]
