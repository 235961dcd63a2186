"""Addresses of attachments that need no API key: they carry their own expiry, signed."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from evalbackend.errors import HttpError

LIFETIME_S = 3600


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes and checks the addresses, with a secret that lives in the store.

    `base` is this server's address as the client knows it: other clients than the SDK fetch an address as it
    stands. Without one, addresses are relative to the server, as the pages want them.
    """

    secret: bytes
    base: str = ""

    def entry(self, sha: str, mime: str) -> dict[str, Any]:
        """Return an entry of attachment_urls or s3_urls."""
        # Rounded up to a minute, so that reading a page twice gives the same addresses.
        expires = (int(time.time()) // 60 + 1) * 60 + LIFETIME_S
        query = urlencode({"expires": expires, "mime": mime, "signature": self._sign(sha, mime, expires)})
        return {"presigned_url": f"{self.base}/attachments/{sha}?{query}", "mime_type": mime}

    def check(self, sha: str, mime: str, expires: str, signature: str) -> None:
        """Raise 403 unless the address is one that was given out and has not expired."""
        if not (expires.isascii() and expires.isdigit() and len(expires) < 16):
            raise HttpError(403, "the address is not signed")
        if not hmac.compare_digest(self._sign(sha, mime, int(expires)).encode(), signature.encode()):
            raise HttpError(403, "the address is not signed by this server")
        if int(expires) < time.time():
            raise HttpError(403, "the address has expired: list the run or example again")

    def _sign(self, sha: str, mime: str, expires: int) -> str:
        return hmac.new(self.secret, f"{sha}\n{mime}\n{expires}".encode(), hashlib.sha256).hexdigest()
