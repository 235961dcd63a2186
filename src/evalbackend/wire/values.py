"""Values as they stand on the wire: JSON, ids, times. Everything that is malformed raises a 422."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson

from evalbackend.errors import HttpError

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d\d:?(?:\d\d)?)?",
    re.IGNORECASE,
)
#: Levels of JSON that are taken; a body has a few around its values, and so has an answer.
_NESTING = 248
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def load_json(raw: bytes, what: str) -> Any:
    """Return the parsed JSON of `raw`; `what` names it in the error."""
    return checked_json(raw, what)[1]


def checked_json(raw: bytes, what: str) -> tuple[bytes, Any]:
    """Return (`raw`, its value), so that `raw` can later be copied unread into an answer.

    What only Python's own json accepts (NaN, lone surrogates: the SDK's fallback writes them) is
    rewritten as strict JSON; otherwise one odd run would spoil every page that contains it.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raw = _repaired(raw, what)
        value = _strict(raw, what)
    if raw.count(b"{") + raw.count(b"[") > _NESTING:
        _check_nesting(value, what)
    return raw, value


def _strict(raw: bytes, what: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise HttpError(422, f"{what} holds a number that is too large, or is nested too deeply") from None


def _check_nesting(value: Any, what: str) -> None:
    # What could be taken in and not be given out again would answer 500 to every reader of its page.
    for _ in range(254 - _NESTING):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError as error:
        if "ecursion" in str(error):
            raise HttpError(422, f"{what} is nested deeper than {_NESTING} levels") from None


def _repaired(raw: bytes, what: str) -> bytes:
    try:
        value = json.loads(raw.decode("utf-8", "replace"), parse_constant=lambda _: None)
        return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    except (ValueError, RecursionError, TypeError) as error:
        raise HttpError(422, f"{what} is not valid JSON") from error


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `raw`; anything else is a 422."""
    value = load_json(raw, what)
    if not isinstance(value, dict):
        raise HttpError(422, f"{what} must be a JSON object")
    return value


def uuid_text(value: object, what: str) -> str:
    """Return the canonical lower-case text of a UUID."""
    if isinstance(value, str):
        if _UUID.fullmatch(value):
            return value
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise HttpError(422, f"{what} must be a UUID")


def is_uuid(value: object) -> bool:
    """Return whether a value is the text of a UUID."""
    try:
        uuid_text(value, "")
    except HttpError:
        return False
    return True


def optional_uuid(value: object, what: str) -> str | None:
    """As `uuid_text`, but None stays None."""
    return None if value is None else uuid_text(value, what)


def optional_ids(told: Any, name: str) -> list[str] | None:
    """Return a list of ids, or None for null; 422 for anything else."""
    if told is not None and not isinstance(told, list):
        raise HttpError(422, f"{name} must be a list of ids")
    return None if told is None else [uuid_text(one, name) for one in told]


def time_text(value: object, what: str) -> str:
    """Return an ISO time (naive = UTC) or epoch milliseconds as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`.

    The fixed width makes text order the order of time, which the indexes and `as_of` rely on.
    """
    try:
        if isinstance(value, str):
            return _time_from_text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return iso(_EPOCH + timedelta(milliseconds=value))
    except (ValueError, OverflowError):
        pass
    raise HttpError(422, f"{what} must be an ISO 8601 time")


def _time_from_text(text: str) -> str:
    if len(text) == 32 and text[10] == "T" and text[19] == "." and text.endswith("+00:00"):
        datetime.fromisoformat(text)
        return text
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    date, clock, fraction, zone = match.groups()
    clock = (clock or "00:00:00") if clock is None or len(clock) == 8 else f"{clock}:00"
    stamp = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '0').ljust(6, '0')[:6]}{_zone(zone)}")
    return iso(stamp)


def _zone(zone: str | None) -> str:
    if zone is None or zone in "Zz":
        return "+00:00"
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}"


def optional_time(value: object, what: str) -> str | None:
    """As `time_text`, but None stays None."""
    return None if value is None else time_text(value, what)


def iso(stamp: datetime) -> str:
    """Return an aware time in the store's one format."""
    return stamp.astimezone(timezone.utc).isoformat(timespec="microseconds")


def now_text() -> str:
    """Return the present in the store's one format."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def later_than(text: str) -> str:
    """Return the time one microsecond after `text`."""
    return iso(datetime.fromisoformat(text) + timedelta(microseconds=1))


def optional_text(value: object, what: str) -> str | None:
    """Return a string or None; anything else is a 422."""
    if value is None or isinstance(value, str):
        return value
    raise HttpError(422, f"{what} must be a string")


def optional_count(value: object, what: str) -> int | None:
    """Return a non-negative integer or None; anything else is a 422."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53:
        return value
    raise HttpError(422, f"{what} must be a non-negative integer")


def optional_json(value: object, kind: type, what: str) -> bytes | None:
    """Return `value` as JSON when it is a `kind` (dict or list); None stays None."""
    if value is None:
        return None
    if not isinstance(value, kind):
        raise HttpError(422, f"{what} must be a JSON {'object' if kind is dict else 'array'}")
    return orjson.dumps(value)


def fragment(raw: bytes | None) -> orjson.Fragment | None:
    """Return stored JSON so that orjson copies it into an answer without reading it."""
    return None if raw is None else orjson.Fragment(raw)
