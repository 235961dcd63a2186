"""What an answer of the service means for what was sent, and how long to wait before sending it again.

Pure: no clock, no network. The numbers and their sources stand beside them.
"""

from __future__ import annotations

import math
import random
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum

#: Seconds before the second try, and the most that the doubling comes to.
FIRST_DELAY, LONGEST_DELAY = 0.25, 30.0
#: A server may ask for this many seconds of silence; what it asks beyond is not believed.
LONGEST_RETRY_AFTER = 3600.0

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Verdict(Enum):
    """What the sender must do."""

    ACCEPTED = "accepted"
    """All of it has been taken."""
    CONFLICT = "conflict"
    """Some operation of it had been taken before (langsmith-sdk#1529); which one is not said."""
    TOO_LARGE = "too large"
    """Send it in smaller pieces."""
    THROTTLED = "throttled"
    """Send the same later; smaller pieces would only be more requests."""
    UNAVAILABLE = "unavailable"
    """Send the same later; but a proxy says so too when it was this request that has broken the service."""
    TRANSIENT = "transient"
    """Send the same later, or in smaller pieces."""
    UNAUTHORIZED = "unauthorized"
    """The key is refused: nothing will be taken until somebody acts."""
    REFUSED = "refused"
    """The same bytes will never be taken."""


_EXACT = {
    409: Verdict.CONFLICT,
    413: Verdict.TOO_LARGE,
    429: Verdict.THROTTLED,
    503: Verdict.UNAVAILABLE,
    408: Verdict.TRANSIENT,
    425: Verdict.TRANSIENT,
    401: Verdict.UNAUTHORIZED,
    403: Verdict.UNAUTHORIZED,
}


def classify(status: int) -> Verdict:
    """Say what an HTTP status means; a redirect is refused, for the key must not travel to another host."""
    if status in _EXACT:
        return _EXACT[status]
    if 200 <= status < 300:
        return Verdict.ACCEPTED
    return Verdict.TRANSIENT if 500 <= status < 600 else Verdict.REFUSED


def next_delay(attempt: int, retry_after: float | None, rng: random.Random) -> float:
    """Return the seconds to wait after the `attempt`-th failure in a row, counted from 1.

    The doubling is scattered over its upper half, and a Retry-After over the tenth that follows it:
    workers that were thrown back together must not come back together.
    """
    doubled: float = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 16))
    delay = doubled * rng.uniform(0.5, 1.0)
    if retry_after is None:
        return delay
    asked = min(retry_after, LONGEST_RETRY_AFTER)
    return max(delay, asked * rng.uniform(1.0, 1.1))


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3), or None if it says nothing.

    Args:
        value: seconds, or an HTTP date.
        now: aware; what a date is counted from. A date in the past is 0.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:  # "-0000": UTC without a statement about the place
        when = when.replace(tzinfo=timezone.utc)
    seconds = (when - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
