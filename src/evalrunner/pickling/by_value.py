"""A pickler by value, for what a script, a notebook or a function's inside defines: cloudpickle, and a little more.

With a function go the globals of the script that it uses. What it borrows from a module that a worker can import (the
wrapper that a decorator made, say) finds that module's own globals there, and not a copy of them: two copies of the
SDK's context variables would not know of each other. Locks and the like are made afresh.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import io
import logging
import pickle
import sys
import threading
import typing
from collections.abc import Callable
from concurrent.futures import Executor
from types import CellType, FunctionType, ModuleType
from typing import Any

import cloudpickle
from langsmith import Client

from evalrunner.pickling.remade import REMADE


def dumps(each: Any) -> bytes:
    """Return the bytes of an object, for `pickle.loads` in a worker.

    Raises:
        Exception: it, or something in it, cannot be carried.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(each)
    finally:
        pickler.forget()
    return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """cloudpickle's, and what a script has in scope beside functions and classes."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._by_value: list[ModuleType] = []

    def reducer_override(self, obj: Any) -> Any:
        """Say how an object is made again, or leave it to cloudpickle."""
        make = _MADE.get(type(obj))
        if make is not None:
            return make(obj)
        if isinstance(obj, (threading.Thread, Executor)):
            raise pickle.PicklingError(f"a {type(obj).__name__} cannot leave its process")
        if isinstance(obj, logging.FileHandler):
            return _remade_handler(obj)
        named = _NAMED.get(type(obj))
        if named is not None and _lives_here_only(obj):
            return named(obj)
        if isinstance(obj, (type, FunctionType)):
            self._notice(sys.modules.get(str(obj.__module__)))
            if isinstance(obj, FunctionType) and (home := _borrowed_from(obj)) is not None:
                return _rebuilt(obj, home)
        return super().reducer_override(obj)

    def _notice(self, module: ModuleType | None) -> None:
        """Have what no worker could import carried by value, as what `__main__` defines is."""
        if module is None or module.__name__ == "__main__" or _can_be_imported(module):
            return
        if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            self._by_value.append(module)

    def forget(self) -> None:
        """Leave cloudpickle's registry as it was."""
        for module in self._by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _lives_here_only(obj: Any) -> bool:
    module = sys.modules.get(str(obj.__module__))
    return module is None or module.__name__ == "__main__" or not _can_be_imported(module)


def _can_be_imported(module: ModuleType) -> bool:
    top = module.__name__.partition(".")[0]
    for finder in sys.meta_path:
        spec = finder.find_spec(top, None)
        if spec is not None:
            same = spec.origin == getattr(module, "__file__", spec.origin)
            return same or "." in module.__name__ or not spec.has_location
    return False


def _borrowed_from(function: FunctionType) -> str | None:
    """Return the importable module whose globals a function uses that cannot itself be looked up there."""
    name = str(function.__globals__.get("__name__"))
    module = sys.modules.get(name)
    if module is None or name == "__main__" or vars(module) is not function.__globals__:
        return None
    found: Any = sys.modules.get(str(function.__module__))
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    by_reference = found is function and function.__module__ != "__main__"
    return None if by_reference or not _can_be_imported(module) else name


def _rebuilt(function: FunctionType, home: str) -> tuple[Any, ...]:
    cells = function.__closure__ or ()
    facts = {
        name: getattr(function, name)
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__",
                     "__annotations__")
    }  # fmt: skip
    contents = [[cell.cell_contents] if is_full(cell) else [] for cell in cells]
    state = (facts, dict(vars(function)), contents)
    return _make_function, (function.__code__, home, len(cells)), state, None, None, _fill_function


def is_full(cell: CellType) -> bool:
    """Whether a closure's variable has a value yet."""
    try:
        cell.cell_contents  # noqa: B018 - asks for it
    except ValueError:
        return False
    return True


def _make_function(code: Any, home: str, cells: int) -> FunctionType:
    module = importlib.import_module(home)
    return FunctionType(code, vars(module), closure=tuple(CellType() for _ in range(cells)))


def _fill_function(function: FunctionType, state: Any) -> None:
    facts, attributes, contents = state
    for name, value in facts.items():
        setattr(function, name, value)
    vars(function).update(attributes)
    for cell, content in zip(function.__closure__ or (), contents, strict=True):
        if content:
            cell.cell_contents = content[0]


def _afresh(make: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda _: (make, ())


def _remade_variable(variable: contextvars.ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return _context_variable, (variable.name, contextvars.Context().run(variable.get))
    except LookupError:
        return _context_variable, (variable.name,)


def _context_variable(name: str, *default: Any) -> contextvars.ContextVar[Any]:
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def _remade_client(client: Client) -> tuple[Any, ...]:
    """Make a LangSmith client anew: one of the environment as such, which in a worker leads to the run's endpoint."""
    usual = Client(auto_batch_tracing=False, tracing_mode="langsmith")
    if (client.api_url, client.api_key) == (usual.api_url, usual.api_key):
        return Client, ()
    return functools.partial(Client, client.api_url, api_key=client.api_key), ()


def _remade_handler(handler: logging.FileHandler) -> tuple[Any, ...]:
    """Open a log again, at its end: every worker has it open beside the others."""
    state = {**vars(handler), "stream": None, "mode": "a"}
    return object.__new__, (type(handler),), state


#: Types of which an object is not copied: the worker gets one of its own.
_MADE: dict[type, Callable[[Any], Any]] = {
    type(threading.Lock()): _afresh(threading.Lock),
    type(threading.RLock()): _afresh(threading.RLock),
    threading.local: _afresh(threading.local),
    contextvars.ContextVar: _remade_variable,
    Client: _remade_client,
    **REMADE,
}


def _remade_cache(cached: Any) -> tuple[Any, ...]:
    parameters = cached.cache_parameters()
    return _cached, (cached.__wrapped__, parameters["maxsize"], parameters["typed"])


def _cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


#: Types of which an object is pickled as its name alone, which says nothing outside the script that defines it.
_NAMED: dict[type, Callable[[Any], Any]] = {
    type(functools.lru_cache(len)): _remade_cache,
    typing.NewType: lambda new: (typing.NewType, (new.__name__, new.__supertype__)),
    typing.ParamSpec: lambda spec: (typing.ParamSpec, (spec.__name__,)),
}
