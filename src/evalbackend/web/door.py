"""Who may see the pages: the token, or the code of the printed link, is exchanged for a signed cookie.

The cookie holds neither: it is a deadline, signed with a key that is made of the token and the store's
secret. It ends when the token changes. The code of the link is derived from the token and opens the pages
only, which cannot write: the token itself is neither printed nor in a browser's history.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from starlette.requests import Request
from starlette.responses import Response

LIFETIME_S = 7 * 24 * 3600


def sign_in_path(token: str) -> str:
    """Return the path of the link that signs in to a server with this token."""
    return f"/login?code={_code(token)}"


class Door:
    """Checks what a visitor shows."""

    def __init__(self, token: str, secret: bytes) -> None:
        self._accepted = (token.encode(), _code(token).encode())
        self._key = hmac.new(secret, b"pages\n" + token.encode(), hashlib.sha256).digest()
        # Cookies do not know ports: two servers of one host must not overwrite each other's.
        self._cookie = f"evalrunner_{hashlib.sha256(self._key).hexdigest()[:8]}"

    def opens(self, given: str) -> bool:
        """Tell whether this is the token or the code of the link."""
        raw = given.strip().encode("utf-8", "replace")
        token, code = (hmac.compare_digest(raw, accepted) for accepted in self._accepted)
        return token or code

    def knows(self, request: Request) -> bool:
        """Tell whether the request carries a cookie that is ours and has not expired."""
        deadline, _, signature = request.cookies.get(self._cookie, "").partition(".")
        expected = self._signature(deadline)
        fitting = hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode())
        return fitting and int(deadline) > time.time()

    def let_in(self, response: Response) -> Response:
        """Give the visitor the cookie."""
        deadline = str(int(time.time()) + LIFETIME_S)
        value = f"{deadline}.{self._signature(deadline)}"
        response.set_cookie(
            self._cookie, value, max_age=LIFETIME_S, path="/", httponly=True, samesite="strict"
        )
        return response

    def let_out(self, response: Response) -> Response:
        """Take the cookie back."""
        response.delete_cookie(self._cookie, path="/", httponly=True, samesite="strict")
        return response

    def _signature(self, deadline: str) -> str:
        return hmac.new(self._key, deadline.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _code(token: str) -> str:
    return hmac.new(token.encode(), b"evalrunner pages", hashlib.sha256).hexdigest()[:40]
