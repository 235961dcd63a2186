"""Other people's data as text that a page can show: nothing in it acts, nothing in it is invisible."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import orjson

# C0 but tab and newline, DEL, C1, bidi marks, embeddings, overrides, isolates, zero-width and BOM.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
PREVIEW = 160
HEAD = 6000  # bytes of a document that a table's row reads
WHOLE = 20_000  # characters of a value that a page shows before "show all"


@dataclass(frozen=True, slots=True)
class Field:
    """One named part of a document, as text."""

    name: str
    text: str
    length: int

    @property
    def cut(self) -> bool:
        """Whether there is more than is shown."""
        return self.length > len(self.text)


def plain(text: object) -> str:
    """Return text in which what would act or hide is spelled out: escapes, controls, bidi overrides."""
    return _ODD.sub(_spelled, str(text))


def _spelled(match: re.Match[str]) -> str:
    return f"\u27e8U+{ord(match.group()):04X}\u27e9"


def one_line(text: object, limit: int = PREVIEW) -> str:
    """Return the beginning of a text on one line."""
    flat = " ".join(plain(str(text)[: 4 * limit]).split())
    return flat if len(flat) <= limit else f"{flat[: limit - 1]}…"


def preview(raw: bytes | None, limit: int = PREVIEW) -> list[Field]:
    """Return the first fields of a JSON document for a table's cell; `raw` may be only its beginning."""
    if raw is None:
        return []
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return [_short("", raw.decode("utf-8", "replace"), limit)]
    if not isinstance(value, dict):
        return [_short("", _text(value), limit)]
    return [_short(name, _text(item), limit // min(len(value), 2)) for name, item in list(value.items())[:6]]


def _short(name: str, text: str, limit: int) -> Field:
    return Field(one_line(name, 40), one_line(text, limit), 0)


def fields(raw: bytes | None, limit: int = WHOLE) -> list[Field]:
    """Return every field of a JSON document, cut at `limit` characters each."""
    if raw is None:
        return []
    value = orjson.loads(raw)
    items = value.items() if isinstance(value, dict) else [("", value)]
    return [_whole(name, _text(item, pretty=True), limit) for name, item in items]


def _whole(name: str, text: str, limit: int) -> Field:
    return Field(one_line(name, 80), plain(text[:limit]), len(text) if len(text) > limit else 0)


def _text(value: Any, pretty: bool = False) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if pretty else 0).decode()


def whole(raw: bytes | None) -> str:
    """Return a whole document as text."""
    return "" if raw is None else "\n\n".join(f"{f.name}\n{f.text}".strip() for f in fields(raw, 2**40))


def size(count: int) -> str:
    """Return a number of characters or bytes, roughly."""
    for unit, name in ((2**20, "M"), (2**10, "K")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return str(count)


def seconds(value: float | None) -> str:
    """Return a duration for a column: seconds with two decimals, milliseconds below a tenth of one."""
    if value is None:
        return "–"
    if value == 0:
        return "0 s"
    if value < 0.1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if value < 120 else f"{value / 60:.1f} min"


def score(value: float | None, whole: bool = True) -> str:
    """Return a score: three decimals, none for a whole number (unless its column has fractions)."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if whole and value == int(value) and abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.3g}"


def tick(value: float) -> str:
    """Return a value as short as it goes, for an axis."""
    return f"{value:g}"


def tick_seconds(value: float) -> str:
    """Return a duration as short as it goes, for an axis."""
    if value and value < 0.1:
        return f"{value * 1000:g} ms"
    return f"{value:g} s" if value < 600 else f"{value / 60:g} min"


def moment(text: str | None) -> str:
    """Return a stored time without its fraction."""
    return "–" if text is None else f"{text[:19].replace('T', ' ')} UTC"


def ago(text: str | None) -> str:
    """Return how long ago a stored time was, roughly."""
    if text is None:
        return "–"
    seconds_ago = (datetime.now(timezone.utc) - datetime.fromisoformat(text)).total_seconds()
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds_ago // unit)
        if count >= 1:
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
