"""Numbers, texts, dates, arrays, enums and containers that a target may return."""

from __future__ import annotations

import collections
import enum
import types
import uuid
from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

JSON = dict[str, Any]


class Place(NamedTuple):
    x: int
    label: str = "l"


class Level(enum.IntEnum):
    HIGH = 3


class Kind(str, enum.Enum):
    A = "a"


class Flags(enum.Flag):
    R = 1
    W = 2


class StrSub(str):
    pass


class IntSub(int):
    pass


class DictSub(dict[str, int]):
    pass


def place(inputs: JSON) -> Any:
    return Place(1)


def place_inside(inputs: JSON) -> Any:
    return {"p": Place(1), "l": [Place(2)]}


def int_enum(inputs: JSON) -> Any:
    return Level.HIGH


def str_enum(inputs: JSON) -> Any:
    return Kind.A


def enum_keys(inputs: JSON) -> Any:
    return {Kind.A: 1, Level.HIGH: 2}


def flags(inputs: JSON) -> Any:
    return {"f": Flags.R | Flags.W, "i": Level.HIGH, "k": Kind.A, "class": Kind}


def decimal(inputs: JSON) -> Any:
    return Decimal("1.10")


def decimals(inputs: JSON) -> Any:
    return {"a": Decimal("1.10"), "nan": Decimal("NaN"), "f": Fraction(1, 3), "inf": Decimal("Infinity")}


def raw_bytes(inputs: JSON) -> Any:
    return b"abc\xff"


def more_bytes(inputs: JSON) -> Any:
    return {"a": bytearray(b"abc"), "m": memoryview(b"abc"), "text": b"abc"}


def moment(inputs: JSON) -> Any:
    return datetime(2026, 1, 2, tzinfo=timezone.utc)


def naive_moment(inputs: JSON) -> Any:
    return {"n": datetime(2026, 1, 2), "d": date(2026, 1, 2)}


def an_id(inputs: JSON) -> Any:
    return uuid.UUID(int=3)


def numpy_scalar(inputs: JSON) -> Any:
    return np.float64(0.25)


def numpy_float32(inputs: JSON) -> Any:
    return {"f": np.float32(0.1), "h": np.float16(0.1), "s": np.str_("x"), "d": np.datetime64("2026-01-02")}


def numpy_2d(inputs: JSON) -> Any:
    return {
        "a": np.eye(2),
        "n": np.array([np.nan, 1.0]),
        "o": np.array([None, "x"], dtype=object),
        "z": np.array(3),
    }


def numpy_not_contiguous(inputs: JSON) -> Any:
    return {"a": np.arange(6).reshape(2, 3).T, "b": np.arange(6)[::2], "c": np.array([1 + 2j])}


def numpy_structured(inputs: JSON) -> Any:
    return {"a": np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f4")]), "t": np.array(["a", "b"])}


def a_set(inputs: JSON) -> Any:
    return {1}


def frozen(inputs: JSON) -> Any:
    return frozenset({"a"})


def a_range(inputs: JSON) -> Any:
    return range(3)


def collections_(inputs: JSON) -> Any:
    return {
        "deque": collections.deque([1, 2]),
        "default": collections.defaultdict(int, a=1),
        "counter": collections.Counter("aab"),
        "ordered": collections.OrderedDict(a=1),
        "proxy": types.MappingProxyType({"a": 1}),
        "chain": collections.ChainMap({"a": 1}),
        "user": collections.UserDict({"a": 1}),
        "userlist": collections.UserList([1]),
        "space": types.SimpleNamespace(a=1),
        "keys": {"a": 1}.keys(),
        "values": {"a": 1}.values(),
    }


def default_dict(inputs: JSON) -> Any:
    return collections.defaultdict(int, a=1)


def counter(inputs: JSON) -> Any:
    return collections.Counter("aab")


def proxy(inputs: JSON) -> Any:
    return types.MappingProxyType({"a": 1})


def chain_map(inputs: JSON) -> Any:
    return collections.ChainMap({"a": 1})


def user_dict(inputs: JSON) -> Any:
    return collections.UserDict({"a": 1})


def dict_subclass(inputs: JSON) -> Any:
    return DictSub(a=1)


def str_subclass(inputs: JSON) -> Any:
    return StrSub("x")


def subclasses(inputs: JSON) -> Any:
    return {"s": StrSub("x"), "i": IntSub(3), "d": DictSub(a=1), StrSub("k"): 1}


def lone_surrogate(inputs: JSON) -> Any:
    return {"a": "x\ud800y", "k\ud800": 1}


def lone_surrogate_alone(inputs: JSON) -> Any:
    return "x\ud800y"


def nul(inputs: JSON) -> Any:
    return {"a": "x\x00y", "b\x00": "\x1b[31m", "rtl": "\u202eabc", "emoji": "👩‍👩‍👧"}


def odd_keys(inputs: JSON) -> Any:
    return {(1, 2): "t", None: "n", True: "b", 1.5: "f", 7: "i", date(2026, 1, 2): "d", uuid.UUID(int=1): "u"}


def odd_keys_inside(inputs: JSON) -> Any:
    return {"a": {(1, 2): "t", b"x": 1, Place(1): 2, frozenset({1}): 3}}


def same_keys(inputs: JSON) -> Any:
    return {"1": "text", 1: "number"}


def deep(inputs: JSON) -> Any:
    found: Any = "end"
    for _ in range(60):
        found = {"d": [found]}
    return found


def output_key(inputs: JSON) -> Any:
    return {"output": {"output": 1}}


def error_key(inputs: JSON) -> Any:
    return {"error": "not one", "outputs": {}, "inputs": 1, "id": "x", "name": None}


def nan(inputs: JSON) -> Any:
    return float("nan")


def huge(inputs: JSON) -> Any:
    return {"t": "x" * 300_000}


def big_ints(inputs: JSON) -> Any:
    return {"a": 2**63, "b": -(2**63), "c": 2**64 - 1}


def negative_zero(inputs: JSON) -> Any:
    return {"z": -0.0, "e": 1e22, "s": 5e-324, "m": 1.7976931348623157e308}


async def async_array(inputs: JSON) -> Any:
    return np.arange(3)
