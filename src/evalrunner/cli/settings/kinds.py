"""What an option may hold, and how it is read from a TOML file, from the environment and from flags.

Every reader raises ValueError or TypeError without words: who calls knows the file, the key and the line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


@dataclass(frozen=True)
class Kind:
    """A kind of value.

    Attributes:
        takes: what it takes, to be said after "takes".
        annotation: what the flag's parser is told.
        from_toml: checks and converts a TOML value.
        from_text: reads the value of an environment variable.
        from_flag: converts what the flag's parser gives.
        repeat: the flag can be given several times.
    """

    takes: str
    annotation: Any
    from_toml: Callable[[Any], Any]
    from_text: Callable[[str], Any]
    from_flag: Callable[[Any], Any] = lambda value: value
    repeat: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _switch_text(text: str) -> bool:
    if text.strip().lower() in _TRUE:
        return True
    if text.strip().lower() in _FALSE:
        return False
    raise ValueError


def _list(value: Any) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise TypeError
    return tuple(_text(one) for one in values)


def _list_text(text: str) -> tuple[str, ...]:
    return _list([part.strip() for part in text.split(",") if part.strip()])


def _json_table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError
    # A TOML date is no JSON value; it must not fail hours later, when the experiment is created.
    json.dumps(value, allow_nan=False)
    return value


def _text_table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError
    for key, one in value.items():
        if not key or "=" in key or "\0" in key or not isinstance(one, str) or "\0" in one:
            raise ValueError
    return value


def _pairs(values: Any) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not sign or not key.strip():
            raise ValueError
        pairs[key.strip()] = text
    return pairs


def _json_pairs(values: Any) -> dict[str, Any]:
    return _json_table({key: _json_or_text(text) for key, text in _pairs(values).items()})


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _table_text(text: str) -> dict[str, Any]:
    if text.lstrip().startswith("{"):
        return _json_table(json.loads(text))
    return _json_pairs(_list_text(text))


def _text_table_text(text: str) -> dict[str, str]:
    if text.lstrip().startswith("{"):
        return _text_table(json.loads(text))
    return _pairs(_list_text(text))


TEXT = Kind("text", str | None, _text, _text, _text)
WHOLE = Kind("a whole number", int | None, _whole, int)
NUMBER = Kind("a number", float | None, _number, lambda text: _number(float(text)), _number)
SWITCH = Kind("true or false", bool | None, _switch, _switch_text)
LIST = Kind("text or a list of texts", list[str] | None, _list, _list_text, _list, repeat=True)
JSON_TABLE = Kind("KEY=VALUE pairs", list[str] | None, _json_table, _table_text, _json_pairs, repeat=True)
TEXT_TABLE = Kind(
    "KEY=VALUE pairs of texts", list[str] | None, _text_table, _text_table_text, _pairs, repeat=True
)
