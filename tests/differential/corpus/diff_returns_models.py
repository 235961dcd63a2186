"""Models, dataclasses and trees of them that a target may return."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import Any, Generic, TypeVar

from diff_returns_objects import Slots  # type: ignore[import-not-found]
from langchain_core.messages import AIMessage
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


def tree(inputs: JSON) -> Any:
    return Tree(name="a", children=[Tree(name="b")])


def slotted(inputs: JSON) -> Any:
    return Slotted("yes", Inner())


def slotted_inside(inputs: JSON) -> Any:
    return {"a": Slotted("yes", Inner()), "class": Slotted}


def pydantic_dataclass_(inputs: JSON) -> Any:
    return PydanticData("yes")


def tuple_of_models(inputs: JSON) -> Any:
    return (WithUsage(), AIMessage(content="x", id="m"))


def list_of_models(inputs: JSON) -> Any:
    return [WithUsage(), {"m": EmptyModel()}]


async def async_aliased(inputs: JSON) -> Any:
    return Aliased(theAnswer="yes")


async def async_slotted(inputs: JSON) -> Any:
    return Slotted("yes", Inner())
