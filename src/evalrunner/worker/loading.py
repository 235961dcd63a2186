"""Finding what the user named: `module:name`, `path/file.py:name`, or what dill carried.

Runs in the worker, once per process; whatever goes wrong becomes one sentence and, where the user's own
code raised, a traceback for the log.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import dill

from evalrunner.config import TargetSpec
from evalrunner.errors import TargetError


@dataclass(frozen=True)
class Objects:
    """What the user named, not yet called: target, evaluators, summary evaluators."""

    target: Any
    evaluators: list[Any]
    summary_evaluators: list[Any]


def load(spec: TargetSpec) -> Objects:
    """Load everything that `spec` names.

    Raises:
        TargetError: a module or name is not there; the message says which and how names are written.
        Exception: whatever the user's module raised while it was imported.
    """
    folder = str(spec.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if spec.pickled is not None:
        # Only ever bytes that our own parent made from the caller's objects; never from disk or network.
        return Objects(*dill.loads(spec.pickled))  # noqa: S301
    target = find(spec.target, spec.folder) if spec.target else None
    return Objects(
        target,
        [find(name, spec.folder) for name in spec.evaluators],
        [find(name, spec.folder) for name in spec.summary_evaluators],
    )


def find(name: str, folder: Path) -> Any:
    """Return what `module:attr.attr` or `path/file.py:attr` names.

    Raises:
        TargetError: it is not there.
    """
    where, colon, attributes = name.rpartition(":")
    if not colon or not where or not attributes:
        raise TargetError(f"{name!r} names nothing: write module:name or path/file.py:name")
    found: Any = _module(where, folder)
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise TargetError(f"{where!r} has no {attribute!r}{_near(found, attribute)}") from None
    return found


def _near(module: Any, attribute: str) -> str:
    import difflib  # noqa: PLC0415 - only when something is wrong

    public = (
        [name for name in vars(module) if not name.startswith("_")] if hasattr(module, "__dict__") else []
    )
    close = difflib.get_close_matches(attribute, public, n=3)
    return f"; did you mean {', '.join(close)}?" if close else ""


def _module(where: str, folder: Path) -> ModuleType:
    if where.endswith(".py"):
        return _file(folder / where)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(error.name + ".")):
            raise TargetError(
                f"there is no module {where!r} (looked in {folder} and the import path)"
            ) from None
        raise


def _file(path: Path) -> ModuleType:
    path = path.resolve()
    name = f"evalrunner_user_{path.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if not path.is_file():
        raise TargetError(f"there is no file {path}")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
