"""Is there a LangSmith, and does it take the key: asked once, before anything else, in 5 seconds at most.

The SDK's own requests retry for longer than that, and say what went wrong in several lines, with part of the
key among them.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import requests
from langsmith import Client
from langsmith.schemas import LangSmithInfo
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from evalrunner.clock import SYSTEM
from evalrunner.errors import ServiceError
from evalrunner.service.errors import cause, host

#: Seconds in which `check` has an answer or gives up; name resolution has no timeout of its own.
PATIENCE = 5.0
_TIMEOUT = (2.0, 4.0)
T = TypeVar("T")


class Unfit(ServiceError):
    """Why there is no LangSmith to work with: what is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class Greeting:
    """What the service says of itself, and when it says so.

    Attributes:
        info: the answer to GET /info.
        date: the header of that name, if there was one.
        asked: our own time when it was asked, and `answered` when the answer had come.
    """

    info: dict[str, Any]
    date: str | None
    asked: datetime
    answered: datetime


def check(client: Client, seconds: float = math.inf) -> LangSmithInfo:
    """Return what the service says of itself, once it is known to be there and to take the key.

    Raises:
        ServiceError: it is not, or does not; within 5 seconds, or fewer.
    """

    def ask() -> LangSmithInfo:
        with opened(client) as session:
            greeting = greet(session, client)
            show_key(session, client)
            return LangSmithInfo(**greeting.info)

    return in_time(client, ask, seconds)


def in_time(client: Client, ask: Callable[[], T], seconds: float = math.inf) -> T:
    """Return what `ask` returns.

    Raises:
        Unfit: not within 5 seconds, or so many.
        Exception: what `ask` raises.
    """
    patience = min(seconds, PATIENCE)
    try:
        return _within(patience, ask)
    except TimeoutError:
        raise Unfit(f"LangSmith at {host(client.api_url)} does not answer within {patience:.2g} s") from None


def greet(session: requests.Session, client: Client) -> Greeting:
    """Return what the service says of itself; it needs no key for that.

    Raises:
        Unfit: there is none.
    """
    where, asked = host(client.api_url), SYSTEM.utcnow()
    response = _get(session, client, "/info", where)
    answered, info = SYSTEM.utcnow(), _json(response)
    if not isinstance(info, dict) or "version" not in info:
        raise Unfit(f"{where} answers, but not as LangSmith does", "is LANGSMITH_ENDPOINT its API address?")
    return Greeting(info, response.headers.get("date"), asked, answered)


def show_key(session: requests.Session, client: Client) -> str | None:
    """Have the key accepted; return the workspace, where there is something that says it.

    Raises:
        Unfit: it is not.
    """
    found = _json(_get(session, client, "/sessions?limit=1", host(client.api_url)))
    first = found[0] if isinstance(found, list) and found else None
    return first.get("tenant_id") if isinstance(first, dict) else None


def opened(client: Client) -> requests.Session:
    """Return a session with the client's key, which gives up sooner than the SDK's."""
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


def _get(session: requests.Session, client: Client, path: str, where: str) -> requests.Response:
    try:
        # A redirect would take the key along, and turn every later POST into a GET.
        response = session.get(f"{client.api_url}{path}", timeout=_TIMEOUT, allow_redirects=False)
    except requests.exceptions.SSLError:
        raise Unfit(f"the certificate of LangSmith at {where} is not trusted here") from None
    except requests.exceptions.ProxyError:
        raise Unfit(f"the proxy on the way to LangSmith at {where} cannot be used") from None
    except (requests.exceptions.RequestException, ValueError) as error:  # a name that is none, say
        raise Unfit(f"LangSmith at {where} cannot be reached: {cause(error)}") from None
    if response.status_code >= 300:
        raise _refusal(response, path, where)
    return response


def _json(response: requests.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _refusal(response: requests.Response, path: str, where: str) -> Unfit:
    status = response.status_code
    if status < 400:
        target = host(response.headers.get("location", "?"))
        return Unfit(
            f"LangSmith at {where} redirects to {target}", "set LANGSMITH_ENDPOINT to where it really is"
        )
    if status == 403 and "org_scoped_key_requires_workspace" in response.text:
        return Unfit(f"the API key is for a whole organisation at {where}", "set LANGSMITH_WORKSPACE_ID")
    if status in (401, 403):
        return Unfit(f"LangSmith at {where} refuses the API key ({status})", "check LANGSMITH_API_KEY")
    if status == 404 and path == "/info":
        return Unfit(
            f"{where} answers, but not as LangSmith does (404)", "is LANGSMITH_ENDPOINT its API address?"
        )
    return Unfit(f"LangSmith at {where} answers {status} now", "nothing was executed, try again later")


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
