"""Finding what the user named: `module:name`, `path/file.py:name`, or what was carried by value.

Runs in the worker, once per process; whatever goes wrong becomes one sentence and, where the user's own
code raised, a traceback for the log.
"""

from __future__ import annotations

import difflib
import importlib
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from evalrunner.config import TargetSpec
from evalrunner.errors import TargetError
from evalrunner.worker.code.files import import_file, remember


@dataclass(frozen=True)
class Objects:
    """What the user named, not yet called: target, evaluators, summary evaluators."""

    target: Any
    evaluators: list[Any]
    summary_evaluators: list[Any]


def load(spec: TargetSpec, shims: Path, *, only_summary: bool = False) -> Objects:
    """Load everything that `spec` names.

    Args:
        shims: folder of files that give a name to what has none (`files.import_file`).
        only_summary: the summary evaluators alone, which need no target.

    Raises:
        TargetError: a module or name is not there; the message says which and how names are written.
        Exception: whatever the user's module raised while it was imported.
    """
    folder = str(spec.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    target, evaluators, summary_evaluators = _given(spec)

    def found(given: Any) -> Any:
        return find(given, spec.folder, shims) if isinstance(given, str) else given

    if only_summary:
        target, evaluators = None, ()
    return Objects(
        found(target), [found(each) for each in evaluators], [found(each) for each in summary_evaluators]
    )


def _given(spec: TargetSpec) -> tuple[Any, Any, Any]:
    if spec.pickled is None:
        return spec.target, spec.evaluators, spec.summary_evaluators
    # Only ever bytes that our own parent made from the caller's objects; never from disk or network.
    target, evaluators, summary_evaluators = pickle.loads(spec.pickled)  # noqa: S301
    return target, evaluators, summary_evaluators


def find(name: str, folder: Path, shims: Path) -> Any:
    """Return what `module:attr.attr` or `path/file.py:attr` names.

    Raises:
        TargetError: it is not there.
    """
    where, colon, attributes = name.rpartition(":")
    if not colon or not where or not attributes:
        raise TargetError(f"{name!r} names nothing: write module:name or path/file.py:name")
    found: Any = _module(where, folder, shims)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise TargetError(f"{where!r} has no {attribute!r}{_near(found, attribute)}") from None
    return found


def _near(module: Any, attribute: str) -> str:
    public = (
        [name for name in vars(module) if not name.startswith("_")] if hasattr(module, "__dict__") else []
    )
    close = difflib.get_close_matches(attribute, public, n=3)
    return f"; did you mean {', '.join(close)}?" if close else ""


def _module(where: str, folder: Path, shims: Path) -> ModuleType:
    if where.endswith(".py"):
        return import_file(folder / where, shims)
    try:
        module = importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(error.name + ".")):
            raise TargetError(_no_module(where, folder)) from None
        raise
    remember(module)
    return module


def _no_module(where: str, folder: Path) -> str:
    file = folder / where
    if file.with_name(f"{file.name}.py").is_file():
        return f"there is no module {where!r}; a file is named with its ending: {where}.py:NAME"
    if file.is_file():
        return f"{where} is no Python file: write module:name or path/file.py:name"
    return f"there is no module {where!r} (looked in {folder} and the import path)"
