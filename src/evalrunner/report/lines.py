"""Lines of text for people: cleaned, wrapped, aligned; the same on a terminal and in a log.

What comes from data (names, errors, reasons) goes through `clean` before it is shown anywhere: an error
message can carry escape sequences, and a terminal obeys them.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from rich.cells import cell_len, set_cell_size

#: A line is a row of (text, style); the texts are shown as they are, never read as markup.
Line = list[tuple[str, str]]

#: Column at which the text behind a label starts.
LABEL = 14
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_CONTROL = re.compile(_ESCAPES + r"|[\x00-\x1f\x7f-\x9f\u2028\u2029]")
#: Zero width, reversed writing, lone surrogates: what a reader cannot see or an encoder cannot write.
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def clean(text: object, limit: int = 500) -> str:
    """Return `text` as one line of at most `limit` characters that a terminal only shows."""
    one = " ".join(_INVISIBLE.sub("", _CONTROL.sub(" ", str(text))).split())
    return one if len(one) <= limit else one[: limit - 3] + "..."


def labelled(label: str, parts: Iterable[str], width: int, style: str = "") -> Iterator[Line]:
    """Yield a label and its parts; a part is never broken, so that it can be copied whole."""
    rows: list[str] = []
    for part in filter(None, parts):
        if rows and LABEL + cell_len(f"{rows[-1]}  {part}") <= width:
            rows[-1] += f"  {part}"
        else:
            rows.append(part)
    heads = [f"  {label}".ljust(LABEL), *[" " * LABEL] * len(rows)]
    yield from ([(head, "dim"), (row, style)] for head, row in zip(heads, rows, strict=False))


def block(text: str, width: int, *, indent: int, style: str = "") -> Iterator[Line]:
    """Yield `text` wrapped at words, every line indented."""
    yield from ([(line, style)] for line in wrap(text, width, indent=indent))


def wrap(text: str, width: int, *, indent: int) -> list[str]:
    """Return `text` as indented lines of at most `width`, save for single words that are longer."""
    pad = " " * indent
    lines = textwrap.wrap(
        text,
        width,
        initial_indent=pad,
        subsequent_indent=pad,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return lines or [pad]


def columns(*values: object) -> str:
    """Return the values right-aligned in columns of nine."""
    return "".join(str(value).rjust(9) for value in values)


def fit(text: str, cells: int) -> str:
    """Return `text` padded or cut to `cells` columns of a terminal; `~` marks a cut."""
    return set_cell_size(text, cells) if cell_len(text) <= cells else set_cell_size(text, cells - 1) + "~"


def number(value: object) -> str:
    """Return a score as it is read: three decimals for a float, and anything else as text."""
    return f"{value:.3f}" if isinstance(value, float) else clean(value)


def seconds(value: float) -> str:
    """Return a duration: `4.2 s`, `12 min 3 s`, `2 h 5 min`."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def count(quantity: int, noun: str) -> str:
    """Return `1 item`, `2 items`."""
    return f"{quantity} {noun}{'' if quantity == 1 else 's'}"
