"""What counts as an answer of LangSmith: a proxy or a sign-in page in between says 200 too, and means nothing.

The SDK takes whatever has a status below 400 and fails somewhere inside over what it cannot read (client.py:1970).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

#: Answered with a list, if no id follows.
_LISTS = ("/examples", "/sessions", "/datasets", "/feedback")
_LENGTH = 80


class StrangeAnswerError(requests.exceptions.ConnectionError):
    """Whoever answered is not LangSmith. The SDK tries again after it, as after a connection that broke."""


def refuse_strange(response: requests.Response, *_: Any, **told: Any) -> None:
    """Be a session's hook for responses: look at the first character of what ought to be JSON.

    Files are fetched as streams and may hold anything; an answer to a change may be empty.

    Raises:
        StrangeAnswerError: it is no JSON, or no object or list where the SDK counts on one.
    """
    method, path = response.request.method, urlsplit(response.url).path
    if told.get("stream") or not 200 <= response.status_code < 300 or method == "HEAD":
        return
    first = response.content[:_LENGTH].lstrip()[:1]
    if not first and method != "GET" and not path.endswith("/query"):
        return
    if not first or first not in _beginnings(method or "", path):
        raise StrangeAnswerError(_sentence(response, method or "", path))


def strange(error: BaseException | None) -> StrangeAnswerError | None:
    """Return the strange answer that an error of the SDK goes back to, if it does."""
    while error is not None and not isinstance(error, StrangeAnswerError):
        error = error.__cause__ or error.__context__
    return error


def _beginnings(method: str, path: str) -> bytes:
    if method == "GET" and path.endswith(_LISTS):
        return b"["
    return b"{" if path.endswith("/query") else b'[{"-0123456789ntf'


def _sentence(response: requests.Response, method: str, path: str) -> str:
    kind = response.headers.get("content-type", "").partition(";")[0]
    text = " ".join(response.text[:_LENGTH].split())
    held = f"with {kind or 'what has no type'}: {text}" if text else "with nothing"
    return f"answers {method} {path} as LangSmith does not, {held}; is there a proxy or a sign-in page in between?"
