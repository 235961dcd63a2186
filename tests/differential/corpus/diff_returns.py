"""One target for every kind of value that a target may return."""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections import namedtuple
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, TypedDict

import numpy as np
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langsmith import traceable
from pydantic import BaseModel, Field

JSON = dict[str, Any]
USAGE: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


class Answer(BaseModel):
    """What structured output gives back."""

    answer: str
    note: str | None = None
    at: datetime = datetime(2026, 1, 2, tzinfo=timezone.utc)
    parts: list[Part] = Field(default_factory=list)


class Part(BaseModel):
    """A model in a model."""

    text: str
    weight: Decimal = Decimal("0.5")


Answer.model_rebuild()


class Old:
    """The shape of a model of pydantic 1: `dict()` and `json()`, no `model_dump`."""

    def __init__(self, answer: str) -> None:
        self.answer = answer

    def dict(self) -> JSON:
        """Return the fields."""
        return {"answer": self.answer}

    def __repr__(self) -> str:
        return f"Old({self.answer!r})"


class Stubborn:
    """Its `model_dump` raises."""

    def model_dump(self, **_: Any) -> JSON:
        """Refuse."""
        raise ValueError("not today")

    def __repr__(self) -> str:
        return "Stubborn()"


@dataclasses.dataclass
class Record:
    """A dataclass."""

    answer: str
    parts: list[int] = dataclasses.field(default_factory=lambda: [1, 2])


class Typed(TypedDict):
    """A typed dictionary."""

    answer: str


class Colour(enum.Enum):
    """An enumeration."""

    RED = "red"


Pair = namedtuple("Pair", "first second")


class Odd:
    """Nothing that anybody knows."""

    def __repr__(self) -> str:
        return "Odd()"


def dictionary(inputs: JSON) -> Any:
    """The usual."""
    return {"answer": "yes", "i": inputs["i"]}


def empty(inputs: JSON) -> Any:
    return {}


def none(inputs: JSON) -> Any:
    return None


def text(inputs: JSON) -> Any:
    return "yes"


def empty_text(inputs: JSON) -> Any:
    return ""


def number(inputs: JSON) -> Any:
    return 3


def zero(inputs: JSON) -> Any:
    return 0


def boolean(inputs: JSON) -> Any:
    return False


def real(inputs: JSON) -> Any:
    return 0.1


def items(inputs: JSON) -> Any:
    return [1, "two", {"three": 3}]


def no_items(inputs: JSON) -> Any:
    return []


def pair(inputs: JSON) -> Any:
    return ("a", 1)


def named_pair(inputs: JSON) -> Any:
    return Pair("a", 1)


def one_of_a_set(inputs: JSON) -> Any:
    return {"only"}


def model(inputs: JSON) -> Any:
    return Answer(answer="yes", parts=[Part(text="p")])


def model_in_a_dictionary(inputs: JSON) -> Any:
    return {"answer": Answer(answer="yes"), "parts": [Part(text="p")]}


def model_class(inputs: JSON) -> Any:
    return Answer


def old_model(inputs: JSON) -> Any:
    return Old("yes")


def stubborn(inputs: JSON) -> Any:
    return Stubborn()


def record(inputs: JSON) -> Any:
    return Record("yes")


def typed(inputs: JSON) -> Any:
    return Typed(answer="yes")


def message(inputs: JSON) -> Any:
    """What a chat model gives back, with its tokens."""
    return AIMessage(content="yes", id="m", usage_metadata=USAGE)


def human(inputs: JSON) -> Any:
    return HumanMessage(content="yes", id="h")


def messages(inputs: JSON) -> Any:
    return {"messages": [HumanMessage(content="?", id="h"), AIMessage(content="yes", id="m")]}


def document(inputs: JSON) -> Any:
    return Document(page_content="yes", metadata={"page": 1}, id="d")


def documents(inputs: JSON) -> Any:
    return [Document(page_content="yes", metadata={"page": 1}, id="d")]


def usage(inputs: JSON) -> Any:
    """Tokens as a plain dictionary."""
    return {"answer": "yes", "usage_metadata": dict(USAGE)}


def scalars(inputs: JSON) -> Any:
    return {
        "decimal": Decimal("1.50"),
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        "span": timedelta(seconds=3),
        "id": uuid.UUID(int=7),
        "bytes": b"\x00\xff",
        "path": PurePosixPath("/a/b"),
        "colour": Colour.RED,
        "set": {1},
        "complex": complex(1, 2),
        "big": 2**60,
        "odd": Odd(),
        3: "a number for a key",
    }


def numbers(inputs: JSON) -> Any:
    return {"scalar": np.float64(0.5), "whole": np.int64(3), "array": np.arange(3), "flag": np.bool_(True)}


def array(inputs: JSON) -> Any:
    return np.arange(3)


def not_a_number(inputs: JSON) -> Any:
    return {"nan": float("nan"), "inf": float("inf")}


def odd(inputs: JSON) -> Any:
    return Odd()


def an_error(inputs: JSON) -> Any:
    return ValueError("returned, not raised")


def the_inputs(inputs: JSON) -> Any:
    return inputs


def changed_inputs(inputs: JSON) -> Any:
    """Change what it was given, as careless code does."""
    inputs["added"] = True
    inputs.pop("text")
    return inputs


async def async_dictionary(inputs: JSON) -> Any:
    return {"answer": "yes"}


async def async_model(inputs: JSON) -> Any:
    return Answer(answer="yes")


async def async_message(inputs: JSON) -> Any:
    return AIMessage(content="yes", id="m", usage_metadata=USAGE)


async def async_none(inputs: JSON) -> Any:
    return None


async def async_empty(inputs: JSON) -> Any:
    return {}


async def async_changed_inputs(inputs: JSON) -> Any:
    inputs["added"] = True
    return {"answer": inputs.pop("text")}


def every(inputs: JSON) -> Any:
    """Be the target that the example names: one run for all of them."""
    return globals()[inputs["case"]](inputs)


async def every_async(inputs: JSON) -> Any:
    """The same for the async ones."""
    return await globals()[inputs["case"]](inputs)


traced_every = traceable(name="traced every", run_type="llm")(every)
