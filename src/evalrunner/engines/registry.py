"""Which engines there are, by name. A new one is a module beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Callable

from evalrunner.engines.base import Engine
from evalrunner.errors import UsageError

#: What a run uses that does not say.
DEFAULT = "local"


def _local(start_method: str) -> Engine:
    from evalrunner.engines.local import LocalEngine  # noqa: PLC0415 - an engine is loaded when it is wanted

    return LocalEngine(start_method)


#: Name -> how it is made, given the start method.
ENGINES: dict[str, Callable[[str], Engine]] = {"local": _local}


def make_engine(name: str = DEFAULT, *, start_method: str = "forkserver") -> Engine:
    """Return a new engine.

    Args:
        start_method: how processes are made: `forkserver` or `spawn`.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}; there is {', '.join(sorted(ENGINES))}")
    return ENGINES[name](start_method)
