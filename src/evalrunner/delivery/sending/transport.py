"""HTTP to the service, one POST at a time: bytes in, status out, and nothing that can hang or lead elsewhere.

No retries, no redirects (the key must never reach another host), a deadline for the whole exchange and a cap
on what is read of an answer. What an answer means is `retry`'s business, what to do about it `sender`'s.
"""

from __future__ import annotations

import ipaddress
import math
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3
import zstandard

from evalrunner import __version__
from evalrunner.clock import SYSTEM
from evalrunner.delivery.sending.deadline import Adapter, Deadline
from evalrunner.delivery.sending.retry import parse_retry_after
from evalrunner.errors import ServiceError, TransportError

#: Bytes of an answer's text that are kept, and that are read at most.
TEXT_CAP, READ_CAP = 1024, 65536
#: Bytes per second below which a line counts as broken; a large body gets its time on top of the timeout.
SLOWEST_LINE = 16384


@dataclass(frozen=True)
class Answer:
    """What the service answered.

    Attributes:
        retry_after: seconds it asks to be left alone, or None.
        text: the first KiB of its words.
    """

    status: int
    retry_after: float | None
    text: str


class HttpTransport:
    """Posts multipart bodies to `<url>/runs/multipart`, from any thread.

    Args:
        url, key, workspace: as `config.Endpoint` has them.
        timeout: seconds for one exchange, from the connection's first packet to the answer's last byte.
        verify: as `requests` takes it.

    Raises:
        ServiceError: the URL or the key cannot be used.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        workspace: str | None = None,
        timeout: float = 30.0,
        verify: bool | str = True,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ServiceError(f"the endpoint must be an http or https URL with a host, not {parts.scheme!r}")
        self._url = f"{url.rstrip('/')}/runs/multipart"
        self._host, self._key = parts.hostname, key
        self._timeout, self._verify = timeout, verify
        self._headers = {
            "x-api-key": _header_value("API key", key),
            "User-Agent": f"evalrunner/{__version__}",
            "Accept-Encoding": "identity",  # or the cap would have to guess what a packed answer unpacks to
        }
        if workspace:
            self._headers["X-Tenant-Id"] = _header_value("workspace", workspace)
        self._local = _PerThread()

    def post_multipart(
        self, body: bytes, boundary: str, *, compress: bool, limit: float = math.inf
    ) -> Answer:
        """Send a body that ends with its closing delimiter.

        Args:
            limit: seconds for the exchange, where that is less than the timeout.

        Raises:
            TransportError: no connection, a broken one, or no whole answer in time.
        """
        encoding = None
        if compress:
            body, encoding = self._local.compressor.compress(body), "zstd"
        return self.post_stored(body, f"multipart/form-data; boundary={boundary}", encoding, limit=limit)

    def post_stored(
        self, body: bytes, content_type: str, encoding: str | None, *, limit: float = math.inf
    ) -> Answer:
        """Send a body that is encoded already, with what says how; as `post_multipart`."""
        headers = {"Content-Type": content_type}
        if encoding is not None:
            headers["Content-Encoding"] = encoding
        limit = min(limit, self._timeout + len(body) / SLOWEST_LINE)
        try:
            return self._post(body, headers, limit)
        except TransportError:
            raise
        except Exception as error:
            # There is no thread or memory to be had, or a target has put something of its own in the place of
            # sockets. It says nothing of what was to be sent, and another process may well be able to.
            said = f"{type(error).__name__}: {error}".replace(self._key, "***")[:TEXT_CAP]
            raise TransportError(f"{self._host}: this process cannot send ({said})") from error

    def _post(self, body: bytes, headers: dict[str, str], limit: float) -> Answer:
        with Deadline(limit) as guard:
            try:
                response = self._session().post(
                    self._url,
                    data=body,
                    headers=headers,
                    timeout=(min(limit, self._timeout), limit),
                    allow_redirects=False,
                    stream=True,
                )
                with response:
                    if not guard.expired:  # else its header was cut off
                        return self._answer(response)
            except (requests.RequestException, OSError) as error:
                if not guard.expired:
                    raise TransportError(f"{self._host}: {_reason(error)}") from None  # which quotes nothing
            raise TransportError(f"{self._host}: no answer within {round(limit, 1):g} s")

    def _answer(self, response: requests.Response) -> Answer:
        data = b""
        # The status stands once it is here: words that are cut off or never end do not take it back.
        with suppress(urllib3.exceptions.HTTPError, OSError):
            while len(data) < READ_CAP and (more := response.raw.read(4096)):
                data += more
        text = data[:TEXT_CAP].decode(errors="replace").replace(self._key, "***")  # should it be quoted there
        retry_after = parse_retry_after(response.headers.get("Retry-After"), SYSTEM.utcnow())
        return Answer(response.status_code, retry_after, text)

    def _session(self) -> requests.Session:
        if self._local.session is None:
            session = requests.Session()
            session.headers.update(self._headers)
            session.auth = _no_auth
            session.verify = self._verify
            if is_loopback(self._host):  # a proxy would look for the service on its own machine
                session.trust_env = False
                if self._verify is True:
                    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or True
            session.mount("http://", Adapter(max_retries=0, pool_connections=1, pool_maxsize=1))
            session.mount("https://", Adapter(max_retries=0, pool_connections=1, pool_maxsize=1))
            self._local.session = session
        return self._local.session


def is_loopback(host: str) -> bool:
    """Say whether a host name or address is this machine by definition (RFC 6761 §6.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _PerThread(threading.local):
    """Neither a session nor a compressor may be shared between threads."""

    def __init__(self) -> None:
        self.session: requests.Session | None = None
        self.compressor = zstandard.ZstdCompressor(level=1)


def _reason(error: BaseException) -> str:
    """Say in a few words of our own why there is no answer."""
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed: " + _deepest(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy failed: " + _deepest(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return "no connection in time"
    return _deepest(error)


def _deepest(error: BaseException) -> str:
    """Return what the system said at the bottom of a chain of wrapped errors, or the last one's name."""
    name = type(error).__name__
    for _ in range(10):
        if isinstance(error, OSError) and error.strerror:
            name = error.strerror
        inner = getattr(error, "reason", None)
        inner = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return name


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding what ~/.netrc has for the host."""
    return request


def _header_value(what: str, value: str) -> str:
    # requests would refuse it too, and quote it in the error.
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise ServiceError(f"the {what} holds characters that an HTTP header cannot carry")
    return value
