"""Carrying functions into workers: by reference where they can be imported, by value (dill) where not.

By value includes the globals that a function uses (`recurse`): the `__main__` that they live in stays behind.
"""

from __future__ import annotations

from typing import Any

import dill

from evalrunner.errors import TargetError


def pickle_objects(target: Any, evaluators: list[Any], summary_evaluators: list[Any]) -> bytes:
    """Return dill's bytes of everything that a worker needs.

    Raises:
        TargetError: something cannot be carried; the message names it, and what in it.
    """
    _try("the target", target)
    for each in [*evaluators, *summary_evaluators]:
        _try(f"evaluator {_name(each)!r}", each)
    data: bytes = dill.dumps((target, evaluators, summary_evaluators), recurse=True)
    return data


def _try(what: str, each: Any) -> None:
    try:
        dill.dumps(each, recurse=True)
    except Exception as error:
        raise TargetError(
            f"{what} cannot be carried into a worker process: {_reason(each, error)}"
        ) from error


def _reason(each: Any, error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "ContextVar" in text:
        return (
            "a @traceable function of __main__ (or a local one) holds a context variable, which cannot be "
            "pickled; put it into a module, or name it as module:name"
        )
    culprit = _culprit(each)
    where = f"it uses {culprit}, and " if culprit else ""
    return (
        f"{where}{text}; put it into a module and name it as module:name, or build it in the worker (factory)"
    )


def _culprit(each: Any) -> str | None:
    """Name the variable of a closure, or the global, that cannot be pickled."""
    found: dict[str, Any] = {}
    code = getattr(each, "__code__", None)
    if code is not None:
        found.update(
            zip(code.co_freevars, (cell.cell_contents for cell in each.__closure__ or ()), strict=False)
        )
        found.update({name: each.__globals__[name] for name in code.co_names if name in each.__globals__})
    found.update(getattr(each, "__dict__", {}))
    for name, value in found.items():
        try:
            dill.dumps(value, recurse=True)
        except Exception:
            return f"{name!r} (a {type(value).__name__})"
    return None


def _name(each: Any) -> str:
    return str(getattr(each, "__name__", type(each).__name__))
