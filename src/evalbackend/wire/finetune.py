"""Examples as the chats that OpenAI's fine-tuning reads: {"messages": [...], "tools": [...]}."""

from __future__ import annotations

from typing import Any

import orjson

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "function": "function"}
_KEPT = ("name", "tool_calls", "tool_call_id", "function_call")


def chat(inputs: dict[str, Any], outputs: dict[str, Any]) -> dict[str, Any]:
    """Return one example as a chat; what is no message becomes the text of one."""
    said = _messages(inputs, ("messages", "input"), "user")
    said += _messages(outputs, ("messages", "message", "output"), "assistant")
    tools = inputs.get("tools")
    return {"messages": said, **({"tools": tools} if tools else {})}


def _messages(values: dict[str, Any], keys: tuple[str, ...], role: str) -> list[dict[str, Any]]:
    if not values:
        return []
    found = next((values[key] for key in keys if values.get(key) is not None), None)
    if found is None:
        found = next(iter(values.values())) if len(values) == 1 else values
    many = found if isinstance(found, list) and all(_is_message(one) for one in found) else [found]
    return [_message(one, role) for one in many]


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and ("content" in value or isinstance(value.get("data"), dict))


def _message(value: Any, role: str) -> dict[str, Any]:
    if not _is_message(value):
        return {"role": role, "content": _text(value)}
    data = value["data"] if isinstance(value.get("data"), dict) else value
    told = value.get("role") or value.get("type") or role
    more = {**(data.get("additional_kwargs") or {}), **data}
    kept = {key: more[key] for key in _KEPT if more.get(key)}
    return {"role": _ROLES.get(told, told), "content": data.get("content"), **kept}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
