"""A field of the configuration that an operator sets carries how: its help, its form on the command line, its bounds.

The command line makes its options of these (cli/settings/options.py); nothing else reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

_KEY = "knob"


@dataclass(frozen=True)
class Knob:
    """How one field is set.

    Attributes:
        help: one or two sentences.
        name: of the option, in kebab-case; "" means the field's own.
        metavar: what stands for the value in the help.
        short: one-letter flag.
        shown: how the help writes the default, where that is not its value.
        least: smallest value allowed.
        choices: values allowed.
    """

    help: str
    name: str = ""
    metavar: str | None = None
    short: str | None = None
    shown: str | None = None
    least: float | None = None
    choices: tuple[str, ...] = ()


def knob(default: Any, help: str, **more: Any) -> Any:
    """Return a dataclass field with this default that carries a `Knob`."""
    made: dict[str, Any] = {"default_factory": dict} if default == {} else {"default": default}
    return field(metadata={_KEY: Knob(help, **more)}, **made)


def knobs(config: type[Any]) -> Mapping[str, Knob]:
    """Return the knobs of a configuration by its fields' names."""
    return {one.name: one.metadata[_KEY] for one in fields(config) if _KEY in one.metadata}
