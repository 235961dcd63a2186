"""Further kinds of values that a target may return."""

from __future__ import annotations

import collections
import dataclasses
import enum
import io
import threading
import types
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from langchain_core.messages import AIMessage, AIMessageChunk, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr, computed_field, field_serializer
from pydantic.dataclasses import dataclass as pydantic_dataclass

JSON = dict[str, Any]
USAGE: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
T = TypeVar("T")


class Dictionary(RootModel[dict[str, int]]):
    pass


class Nothing(RootModel[None]):
    pass


class EmptyModel(BaseModel):
    pass


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True, frozen=True)
    answer: str = Field(alias="theAnswer")
    hidden: str = Field(default="secret", exclude=True)
    password: SecretStr = SecretStr("pw")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def length(self) -> int:
        return len(self.answer)

    @field_serializer("answer")
    def _shout(self, value: str) -> str:
        return value.upper()


class BySerAlias(BaseModel):
    model_config = ConfigDict(serialize_by_alias=True, extra="allow")
    answer: str = Field(serialization_alias="Answer")


class Generically(BaseModel, Generic[T]):
    value: T


class Unserialisable(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    lock: Any = None


class WithUsage(BaseModel):
    answer: str = "yes"
    usage_metadata: dict[str, int] = Field(default_factory=lambda: dict(USAGE))


class UsageNone(BaseModel):
    answer: str = "yes"
    usage_metadata: dict[str, int] | None = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = Field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    answer: str
    inner: Inner | None = None


@dataclasses.dataclass
class Inner:
    at: date = date(2026, 1, 2)


@pydantic_dataclass
class PydanticData:
    answer: str
    n: int = 1


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


class Completion:
    """The shape of an OpenAI answer."""

    def __init__(self) -> None:
        self.usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    def model_dump(self, exclude_none: bool = False, mode: str = "python") -> JSON:
        return {
            "choices": [{"message": {"role": "assistant", "content": "yes"}}],
            "usage": self.usage,
            "mode": mode,
        }


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


class StrSub(str):
    pass


class IntSub(int):
    pass


class DictSub(dict[str, int]):
    pass


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


def root_dictionary(inputs: JSON) -> Any:
    return Dictionary({"a": 1})


def root_none(inputs: JSON) -> Any:
    return Nothing(None)


def empty_model(inputs: JSON) -> Any:
    return EmptyModel()


def aliased(inputs: JSON) -> Any:
    return Aliased(theAnswer="yes")


def aliased_inside(inputs: JSON) -> Any:
    return {"a": Aliased(theAnswer="yes"), "b": [Aliased(theAnswer="no")]}


def by_serialization_alias(inputs: JSON) -> Any:
    return BySerAlias(answer="yes", more=1)  # type: ignore[call-arg]


def generic(inputs: JSON) -> Any:
    return Generically[int](value=3)


def generic_of_model(inputs: JSON) -> Any:
    return Generically[WithUsage](value=WithUsage())


def unserialisable_model(inputs: JSON) -> Any:
    return Unserialisable(lock=Slots())


def unserialisable_inside(inputs: JSON) -> Any:
    return {"m": Unserialisable(lock=Slots())}


def model_with_usage(inputs: JSON) -> Any:
    return WithUsage()


def model_with_usage_none(inputs: JSON) -> Any:
    return UsageNone()


def usage_nonsense(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": "many"}


def usage_empty(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": {}}


def usage_foreign(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": {"input_tokens": 1, "foreign": 2}}


def usage_floats(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": {"input_tokens": 1.5, "output_tokens": "2", "total_tokens": None}}


def usage_costs(inputs: JSON) -> Any:
    return {
        "answer": 1,
        "usage_metadata": {
            **USAGE,
            "input_cost": 0.1,
            "output_cost": 0.2,
            "total_cost": 0.3,
            "input_token_details": {"cache_read": 4},
        },
    }


def tree(inputs: JSON) -> Any:
    return Tree(name="a", children=[Tree(name="b")])


def slotted(inputs: JSON) -> Any:
    return Slotted("yes", Inner())


def slotted_inside(inputs: JSON) -> Any:
    return {"a": Slotted("yes", Inner()), "class": Slotted}


def pydantic_dataclass_(inputs: JSON) -> Any:
    return PydanticData("yes")


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


def a_mapping(inputs: JSON) -> Any:
    return Alike()


def namespace(inputs: JSON) -> Any:
    return types.SimpleNamespace(a=1)


def chunk(inputs: JSON) -> Any:
    return AIMessageChunk(content="yes", id="c", usage_metadata=USAGE)


def tool_message(inputs: JSON) -> Any:
    return ToolMessage(content="yes", tool_call_id="t", artifact={"a": 1}, id="x")


def tool_calls(inputs: JSON) -> Any:
    return AIMessage(
        content="",
        id="m",
        tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}],
        response_metadata={"model_name": "m"},
        additional_kwargs={"x": None},
    )


def blocks(inputs: JSON) -> Any:
    return AIMessage(content=[{"type": "text", "text": "hi"}], id="m")


def message_in_a_dictionary(inputs: JSON) -> Any:
    return {"message": AIMessage(content="yes", id="m", usage_metadata=USAGE), "usage_metadata": dict(USAGE)}


def message_list(inputs: JSON) -> Any:
    return [SystemMessage(content="s", id="s"), AIMessage(content="yes", id="m", usage_metadata=USAGE)]


def llm_result(inputs: JSON) -> Any:
    return LLMResult(
        generations=[[Generation(text="yes")]],
        llm_output={"token_usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
    )


def chat_result(inputs: JSON) -> Any:
    return ChatResult(
        generations=[ChatGeneration(message=AIMessage(content="yes", id="m", usage_metadata=USAGE))]
    )


def generation(inputs: JSON) -> Any:
    return ChatGeneration(message=AIMessage(content="yes", id="m", usage_metadata=USAGE))


def prompt_value(inputs: JSON) -> Any:
    return ChatPromptValue(messages=[AIMessage(content="yes", id="m")])


def string_prompt(inputs: JSON) -> Any:
    return StringPromptValue(text="yes")


def completion(inputs: JSON) -> Any:
    return Completion()


def completion_inside(inputs: JSON) -> Any:
    return {"r": Completion()}


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


def str_subclass(inputs: JSON) -> Any:
    return StrSub("x")


def subclasses(inputs: JSON) -> Any:
    return {"s": StrSub("x"), "i": IntSub(3), "d": DictSub(a=1), StrSub("k"): 1}


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


def nan(inputs: JSON) -> Any:
    return float("nan")


def huge(inputs: JSON) -> Any:
    return {"t": "x" * 300_000}


def exception_class(inputs: JSON) -> Any:
    return {"e": ValueError("x"), "c": ValueError}


def big_ints(inputs: JSON) -> Any:
    return {"a": 2**63, "b": -(2**63), "c": 2**64 - 1}


def negative_zero(inputs: JSON) -> Any:
    return {"z": -0.0, "e": 1e22, "s": 5e-324, "m": 1.7976931348623157e308}


def tuple_of_models(inputs: JSON) -> Any:
    return (WithUsage(), AIMessage(content="x", id="m"))


def list_of_models(inputs: JSON) -> Any:
    return [WithUsage(), {"m": EmptyModel()}]


async def async_chunk(inputs: JSON) -> Any:
    return AIMessageChunk(content="yes", id="c", usage_metadata=USAGE)


async def async_array(inputs: JSON) -> Any:
    return np.arange(3)


async def async_no_bool(inputs: JSON) -> Any:
    return NoBool()


async def async_completion(inputs: JSON) -> Any:
    return Completion()


async def async_usage_nonsense(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": "many"}


async def async_aliased(inputs: JSON) -> Any:
    return Aliased(theAnswer="yes")


async def async_slotted(inputs: JSON) -> Any:
    return Slotted("yes", Inner())


def every(inputs: JSON) -> Any:
    return globals()[inputs["case"]](inputs)


async def every_async(inputs: JSON) -> Any:
    return await globals()[inputs["case"]](inputs)
