"""Objects that know how to be written, or refuse to be looked at; things that JSON has no word for."""

from __future__ import annotations

import collections
import io
import threading
import types
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

JSON = dict[str, Any]


class NoArguments:
    def model_dump(self) -> JSON:
        return {"answer": "yes"}


class ToDict:
    def to_dict(self) -> JSON:
        return {"answer": "yes"}

    def __repr__(self) -> str:
        return "ToDict()"


class ToJson:
    def to_json(self) -> JSON:
        return {"answer": "yes"}

    def __repr__(self) -> str:
        return "ToJson()"


class Json:
    def json(self) -> str:
        return '{"answer": "yes"}'

    def __repr__(self) -> str:
        return "Json()"


class Slots:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1

    def __repr__(self) -> str:
        return "Slots()"


class Anything:
    """Has every attribute."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *a, **k: {"asked": name}

    def __repr__(self) -> str:
        return "Anything()"


class Alike(collections.abc.Mapping):  # type: ignore[type-arg]
    def __getitem__(self, key: str) -> Any:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Alike()"


class NoEq:
    def __eq__(self, other: object) -> bool:
        raise TypeError("cannot be compared")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "NoEq()"


class NoBool:
    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def __len__(self) -> int:
        raise ValueError("no length")

    def __repr__(self) -> str:
        return "NoBool()"


def a_mapping(inputs: JSON) -> Any:
    return Alike()


def namespace(inputs: JSON) -> Any:
    return types.SimpleNamespace(a=1)


def dump_without_arguments(inputs: JSON) -> Any:
    return NoArguments()


def to_dict(inputs: JSON) -> Any:
    return ToDict()


def to_json(inputs: JSON) -> Any:
    return ToJson()


def json_(inputs: JSON) -> Any:
    return Json()


def slots(inputs: JSON) -> Any:
    return Slots()


def anything(inputs: JSON) -> Any:
    return Anything()


def anything_inside(inputs: JSON) -> Any:
    return {"a": Anything()}


def no_eq(inputs: JSON) -> Any:
    return NoEq()


def no_bool(inputs: JSON) -> Any:
    return NoBool()


def map_object(inputs: JSON) -> Any:
    return map(str, [1, 2])


def iterator(inputs: JSON) -> Any:
    return {"i": iter([1, 2]), "m": map(str, [1]), "z": zip([1], [2], strict=True), "r": reversed([1])}


def generator_inside(inputs: JSON) -> Any:
    return {"g": (i for i in range(3))}


def a_function(inputs: JSON) -> Any:
    return {"f": Slots.__init__, "t": int, "l": len, "m": types, "e": ..., "n": NotImplemented}


def ellipsis_(inputs: JSON) -> Any:
    return ...


def file_handle(inputs: JSON) -> Any:
    return {"f": io.StringIO("x"), "lock": threading.Lock(), "future": None}


def future(inputs: JSON) -> Any:
    found: Future[int] = Future()
    found.set_result(3)
    return {"f": str(type(found))}


def exception_class(inputs: JSON) -> Any:
    return {"e": ValueError("x"), "c": ValueError}


async def async_no_bool(inputs: JSON) -> Any:
    return NoBool()
