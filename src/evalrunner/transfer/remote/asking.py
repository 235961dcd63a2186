"""Requests that only read, asked again until there is an answer: bytes in, bytes out.

A download of hours meets hourly quotas and restarts of the service; it must not begin again for one of them.
"""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any, TypeVar
from urllib.parse import urljoin

import requests
from langsmith import Client
from langsmith import utils as sdk

from evalrunner.clock import SYSTEM
from evalrunner.delivery.sending.retry import Verdict, classify, next_delay, parse_retry_after
from evalrunner.errors import RunBroken
from evalrunner.service.errors import cause, failure, host

#: Seconds for a connection, and for the next bytes of an answer.
_TIMEOUT = (10.0, 60.0)
#: Bytes of a file that are kept in memory.
_IN_MEMORY = 4 << 20
_CHUNK = 1 << 18
_PASSING = (Verdict.THROTTLED, Verdict.UNAVAILABLE, Verdict.TRANSIENT)
#: Not implemented: a service that does not answer this generation of reads will not do so later.
_NEVER = 501
T = TypeVar("T")


class RefusedError(Exception):
    """The service will not answer this, however often it is asked; its words."""


class Asking:
    """Asks a service, and asks again.

    Args:
        client: one that does not retry by itself.
        deadline: seconds without any answer after which `RunBroken` is raised; those that the service asks to
            be left alone for do not count.
        note: takes what holds things up, for people.
    """

    def __init__(self, client: Client, *, deadline: float, note: Callable[[str], None]) -> None:
        self._client, self._deadline, self._note = client, deadline, note
        self._files = requests.Session()  # addresses of files carry a signature, and take no key
        self._rng = random.Random()  # noqa: S311  (scatters delays, guards nothing)

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Return what a query answers; RefusedError, RunBroken."""
        return self._until(lambda: self._request("POST", path, request_kwargs={"json": body}))

    def get(self, path: str, params: dict[str, Any]) -> bytes:
        """Return what a list answers; RefusedError, RunBroken."""
        return self._until(lambda: self._request("GET", path, params=params))

    def file(self, url: str) -> tuple[IO[bytes], str]:
        """Return a file behind a signed address, open at its beginning, and its type; RefusedError, RunBroken."""
        return self._until(lambda: self._fetch(url))

    def _until(self, ask: Callable[[], T]) -> T:
        end, failures = SYSTEM.monotonic() + self._deadline, 0
        while True:
            try:
                return ask()
            except (sdk.LangSmithError, requests.RequestException) as error:
                verdict, words, asked = _judged(error)
                if verdict not in _PASSING:
                    raise RefusedError(words) from None
            failures += 1
            if (left := end - SYSTEM.monotonic()) <= 0:
                raise RunBroken(
                    f"LangSmith at {host(self._client.api_url)} has not answered for {self._deadline:g} s; "
                    f"the last time: {words}"
                )
            delay = next_delay(failures, asked, self._rng)
            if asked is None:
                delay = min(delay, left)
            else:
                end += delay
            self._note(f"{words}; asking again in {max(1, round(delay))} s")
            threading.Event().wait(delay)

    def _request(self, method: Any, path: str, **how: Any) -> bytes:
        return self._client.request_with_retries(
            method, path, stop_after_attempt=1, timeout=_TIMEOUT, **how
        ).content

    def _fetch(self, url: str) -> tuple[IO[bytes], str]:
        where = urljoin(f"{self._client.api_url}/", url.lstrip("/"))  # relative ones are below the endpoint
        with self._files.get(where, timeout=_TIMEOUT, stream=True) as response:
            if not response.ok:
                _ = response.content  # its words, which cannot be read once it is closed
                response.raise_for_status()
            kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the caller's to close
            for chunk in response.iter_content(_CHUNK):
                kept.write(chunk)
        kept.seek(0)
        return kept, response.headers.get("Content-Type", "")


def _judged(error: Exception) -> tuple[Verdict, str, float | None]:
    """Return what a failure means, its words, and the seconds that the service asks to be left alone."""
    answer = getattr(error, "response", None)
    if answer is None:
        answer = getattr(error.__context__, "response", None)
    if not isinstance(answer, requests.Response):
        words = f"LangSmith {failure(error)}" if isinstance(error, sdk.LangSmithError) else cause(error)
        return Verdict.TRANSIENT, words, None
    asked = parse_retry_after(answer.headers.get("Retry-After"), SYSTEM.utcnow())
    # The query of a signed address is a key, of a kind: it is not said.
    path = answer.url.partition("?")[0].partition("://")[2].partition("/")[2]
    words = f"LangSmith answers {answer.status_code} to /{path}: {' '.join(answer.text[:200].split())}"
    verdict = Verdict.REFUSED if answer.status_code == _NEVER else classify(answer.status_code)
    return verdict, words.removesuffix(": "), asked
