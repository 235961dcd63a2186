"""What language models answer: messages, results, token counts, well formed and not."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult, Generation, LLMResult
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue

JSON = dict[str, Any]
USAGE: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


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


async def async_chunk(inputs: JSON) -> Any:
    return AIMessageChunk(content="yes", id="c", usage_metadata=USAGE)


async def async_completion(inputs: JSON) -> Any:
    return Completion()


async def async_usage_nonsense(inputs: JSON) -> Any:
    return {"answer": 1, "usage_metadata": "many"}
