"""Which proxies the environment names, and what goes through them: by the rules of `requests`, which the SDK uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
#: As clients for a local backend address it.
_LOOPBACK = ("http://127.0.0.1:1", "http://localhost:1")


@dataclass(frozen=True)
class Proxies:
    """What is set, and what that does.

    Attributes:
        named: the variables that are set, without NO_PROXY.
        endpoint: host and port of the proxy on the way to the endpoint, or None.
        spared: nothing for this machine's own addresses goes through a proxy.
    """

    named: tuple[str, ...]
    endpoint: str | None
    spared: bool


def look(url: str | None) -> Proxies:
    """Read it.

    Args:
        url: of the endpoint, if there is one.
    """
    found = [name for name in _NAMES[:3] for name in (name, name.lower()) if os.environ.get(name, "").strip()]
    return Proxies(
        named=tuple(found),
        endpoint=_proxy(url) if url else None,
        spared=not any(map(_proxy, _LOOPBACK)),
    )


def _proxy(url: str) -> str | None:
    """Return the proxy for an address, without what may stand before an @."""
    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}").netloc.rpartition("@")[2] or "?"
