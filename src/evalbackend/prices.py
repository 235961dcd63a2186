"""What a call of a model costs, from a table that a user can replace (the form stands in prices.toml)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from evalbackend.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BESIDE_THE_STORE = "prices.toml"
_FIELDS = frozenset({"match", "prompt", "completion", "prompt-details", "completion-details"})
_PER = Decimal(1_000_000)
_LONGEST = 200  # characters of a model's name
_MOST = 1000  # names whose price is remembered


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens; `details` are prices of kinds of tokens that differ from the rest's."""

    match: tuple[str, ...]
    prompt: Decimal
    completion: Decimal
    prompt_details: Mapping[str, Decimal]
    completion_details: Mapping[str, Decimal]

    def costs(self, prompt: int, completion: int, details: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
        """Return what so many tokens cost, in US dollars: (prompt, completion)."""
        return (
            _cost(prompt, self.prompt, details.get("prompt_token_details"), self.prompt_details),
            _cost(
                completion, self.completion, details.get("completion_token_details"), self.completion_details
            ),
        )


def _cost(tokens: int, price: Decimal, told: object, prices: Mapping[str, Decimal]) -> Decimal:
    total, rest = Decimal(0), tokens
    for kind, count in told.items() if isinstance(told, dict) else ():
        if kind in prices and isinstance(count, int) and 0 < count <= rest:
            total += count * prices[kind]
            rest -= count
    return (total + rest * price) / _PER


@dataclass(slots=True)
class Prices:
    """A table of prices."""

    entries: tuple[Price, ...]
    _known: dict[str, Price | None] = field(default_factory=dict)

    def of(self, model: object) -> Price | None:
        """Return the price of a model by its name, None if it is not in the table."""
        if not isinstance(model, str) or not model or len(model) > _LONGEST:
            return None
        if model not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[model] = self._found(model.lower().rpartition("/")[2])
        return self._known[model]

    def _found(self, name: str) -> Price | None:
        for entry in self.entries:
            if any(fnmatchcase(name, pattern) for pattern in entry.match):
                return entry
        return None


def prices_for(store: Path, named: Path | None = None) -> Prices:
    """Return the table that is named, else the one beside the store, else ours.

    Raises:
        ConfigError: the file cannot be read, or is not of the form that prices.toml describes.
    """
    beside = store.with_name(BESIDE_THE_STORE)
    path = named or (beside if beside.exists() else None)
    if path is None:
        text = resources.files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
        return _read(text, "prices.toml")
    try:
        return _read(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(f"the table of prices {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"the table of prices {path} is not UTF-8 text") from None


def _read(text: str, where: str) -> Prices:
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the table of prices {where} is not valid TOML: {error}") from None
    models = document.get("model", [])
    if document.keys() - {"model"} or not isinstance(models, list):
        raise ConfigError(f"the table of prices {where} must consist of [[model]] entries")
    return Prices(tuple(_entry(told, f"{where}: entry {at}") for at, told in enumerate(models, 1)))


def _entry(told: object, where: str) -> Price:
    if not isinstance(told, dict) or told.keys() - _FIELDS:
        raise ConfigError(f"{where} has other fields than {', '.join(sorted(_FIELDS))}")
    match = told.get("match")
    patterns = [match] if isinstance(match, str) else match
    if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) for one in patterns):
        raise ConfigError(f"{where}: match must be a name, or a list of names")
    return Price(
        tuple(one.lower() for one in patterns),
        _number(told.get("prompt"), f"{where}: prompt"),
        _number(told.get("completion"), f"{where}: completion"),
        _details(told.get("prompt-details"), f"{where}: prompt-details"),
        _details(told.get("completion-details"), f"{where}: completion-details"),
    )


def _details(told: object, where: str) -> dict[str, Decimal]:
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise ConfigError(f"{where} must be a table of kinds of tokens and their prices")
    return {kind: _number(value, f"{where}.{kind}") for kind, value in told.items()}


def _number(value: object, where: str) -> Decimal:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        price = Decimal(value)
        if price.is_finite() and price >= 0:
            return price
    raise ConfigError(f"{where} must be US dollars per million tokens, 0 or more")
