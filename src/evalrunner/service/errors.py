"""What went wrong between LangSmith and us, in words for people; each failure is one sentence, or ends one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from langsmith import Client
from langsmith import utils as sdk

from evalrunner.errors import ServiceError
from evalrunner.service.answers import strange


@contextlib.contextmanager
def told(client: Client) -> Iterator[None]:
    """Turn what the SDK raises into one sentence of ours.

    Raises:
        ServiceError: the call failed.
    """
    where = host(client.api_url)
    try:
        yield
    except sdk.LangSmithAuthError:
        raise ServiceError(f"LangSmith at {where} refuses the API key; check LANGSMITH_API_KEY") from None
    except sdk.LangSmithRateLimitError:
        raise ServiceError(f"LangSmith at {where} answers 429 (too many requests); try again later") from None
    except (sdk.LangSmithError, requests.exceptions.RequestException) as error:
        raise ServiceError(f"LangSmith at {where} {failure(error)}") from None


def failure(error: BaseException) -> str:
    """Say what LangSmith did: the SDK's own words put addresses before what was answered, and are long."""
    if (odd := strange(error)) is not None:
        return str(odd)
    if isinstance(error, sdk.LangSmithConnectionError):
        return f"cannot be reached: {cause(error)}"
    answer = getattr(error.__context__, "response", None)
    if not isinstance(answer, requests.Response):
        return f"failed: {first_line(error)}"
    path = urlsplit(answer.url).path
    return f"answers {answer.status_code} to {answer.request.method} {path}: {answer.text[:200]}"


def words(error: BaseException) -> str:
    """Say why a call failed, for a bracket or the end of a sentence; a fault of our own by its type alone."""
    known = isinstance(error, sdk.LangSmithError) or strange(error) is not None
    return f"LangSmith {failure(error)}" if known else type(error).__name__


def cause(error: BaseException) -> str:
    """Say why nothing came back, in a few words: what `requests` and urllib3 say names objects and addresses."""
    if (odd := strange(error)) is not None:
        return str(odd)
    text = str(error)
    for sign, why in (
        ("Connection refused", "connection refused"),
        ("NameResolution", "its name is not known here"),
        ("Failed to resolve", "its name is not known here"),
        ("No route to host", "no route to host"),
        ("Network is unreachable", "the network is unreachable"),
        ("timed out", "it does not answer in time"),
        ("reset by peer", "it closed the connection"),
        ("without response", "it closed the connection"),
    ):
        if sign in text:
            return why
    return type(error).__name__


def host(url: str) -> str:
    """Name an endpoint for people, without what may stand before an @."""
    return urlsplit(url).netloc.rpartition("@")[2] or url


def first_line(error: BaseException) -> str:
    """Return an error's text up to its first line's end, and not more of it than a sentence bears."""
    return str(error).split("\n", 1)[0][:200]
