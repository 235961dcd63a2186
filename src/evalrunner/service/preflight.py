"""Is there a LangSmith, and does it take the key: asked once, before anything else, in 5 seconds at most.

The SDK's own requests retry for longer than that, and say what went wrong in several lines, with part of the
key among them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from langsmith import Client
from langsmith.schemas import LangSmithInfo
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from evalrunner.errors import ServiceError
from evalrunner.service.errors import cause, host

#: Seconds in which `check` has an answer or gives up; name resolution has no timeout of its own.
PATIENCE = 5.0
_TIMEOUT = (2.0, 4.0)
T = TypeVar("T")


def check(client: Client) -> LangSmithInfo:
    """Return what the service says of itself, once it is known to be there and to take the key.

    Raises:
        ServiceError: it is not, or does not; within 5 seconds.
    """
    where = host(client.api_url)
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
        # A redirect would take the key along, and turn every later POST into a GET.
        response = session.get(f"{client.api_url}{path}", timeout=_TIMEOUT, allow_redirects=False)
    except requests.exceptions.SSLError:
        raise ServiceError(f"the certificate of LangSmith at {where} is not trusted here") from None
    except requests.exceptions.ProxyError:
        raise ServiceError(f"the proxy on the way to LangSmith at {where} cannot be used") from None
    except (requests.exceptions.RequestException, ValueError) as error:  # a name that is none, say
        raise ServiceError(f"LangSmith at {where} cannot be reached: {cause(error)}") from None
    if response.status_code >= 300:
        raise ServiceError(_refusal(response, path, where))
    try:
        return response.json()
    except ValueError:
        return None


def _refusal(response: requests.Response, path: str, where: str) -> str:
    status = response.status_code
    if status < 400:
        target = host(response.headers.get("location", "?"))
        return f"LangSmith at {where} redirects to {target}; set LANGSMITH_ENDPOINT to where it really is"
    if status == 403 and "org_scoped_key_requires_workspace" in response.text:
        return f"the API key is for a whole organisation at {where}: set LANGSMITH_WORKSPACE_ID"
    if status in (401, 403):
        return f"LangSmith at {where} refuses the API key ({status}); check LANGSMITH_API_KEY"
    if status == 404 and path == "/info":
        return f"{where} answers, but not as LangSmith does (404); is LANGSMITH_ENDPOINT its API address?"
    return f"LangSmith at {where} answers {status} now; nothing was executed, try again later"


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
