"""Carrying functions into workers, and saying in one sentence what cannot be carried."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from evalrunner.errors import TargetError
from evalrunner.pickling.by_value import dumps, is_full


def pickle_objects(target: Any, evaluators: list[Any], summary_evaluators: list[Any]) -> bytes:
    """Return the bytes of everything that a worker needs, for `pickle.loads`.

    Raises:
        TargetError: something cannot be carried; the message names it, and what in it.
    """
    try:
        return dumps((target, evaluators, summary_evaluators))
    except Exception as error:
        named = {"the target": target}
        named.update({f"evaluator {_name(each)!r}": each for each in (*evaluators, *summary_evaluators)})
        for what, each in named.items():
            why = _refusal(each)
            if why is not None:
                raise TargetError(f"{what} cannot be carried into a worker process: {why}") from None
        raise TargetError(f"they cannot be carried into a worker process together: {_line(error)}") from error


def _refusal(each: Any) -> str | None:
    """Say why something cannot be carried, or None."""
    try:
        dumps(each)
    except Exception as error:
        culprit = _culprit(each, set())
        where = f"it uses {culprit}, and " if culprit else ""
        return (
            f"{where}{_line(error)}; put it into a module and name it as module:name, or build it in the worker "
            "(factory)"
        )
    return None


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _culprit(each: Any, seen: set[int]) -> str | None:
    """Name the variable, the global or the attribute that cannot be pickled, as far in as it can be seen."""
    seen.add(id(each))
    for name, value in _parts(each):
        if id(value) not in seen:
            try:
                dumps(value)
            except Exception:
                deeper = _culprit(value, seen) if isinstance(value, FunctionType) else None
                return deeper or f"{name!r} (a {type(value).__name__})"
    return None


def _parts(each: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(each, FunctionType):
        cells = zip(each.__code__.co_freevars, each.__closure__ or (), strict=False)
        yield from ((name, cell.cell_contents) for name, cell in cells if is_full(cell))
        yield from (
            (name, each.__globals__[name]) for name in each.__code__.co_names if name in each.__globals__
        )
    yield from getattr(each, "__dict__", {}).items()


def _name(each: Any) -> str:
    return str(getattr(each, "__name__", type(each).__name__))
