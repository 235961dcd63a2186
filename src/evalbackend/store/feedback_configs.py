"""How the scores of a feedback key are to be understood: one configuration per key."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

import orjson

from evalbackend.errors import HttpError
from evalbackend.store.functions import like, marks
from evalbackend.wire.values import fragment, now_text

_TYPES = ("continuous", "categorical", "freeform")
_SELECT = "SELECT key, config, is_lower_score_better, is_enforced, modified_at FROM feedback_configs"


def create_config(connection: sqlite3.Connection, body: dict[str, Any]) -> str:
    """Make a configuration and return its key; an equal one stays, 400 if a different one exists."""
    key, config = config_key(body.get("feedback_key")), checked(body.get("feedback_config"))
    row = connection.execute(
        "SELECT config, is_enforced FROM feedback_configs WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        connection.execute(
            "INSERT INTO feedback_configs (key, config, is_lower_score_better, is_enforced, modified_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                key,
                orjson.dumps(config),
                _flag(body, "is_lower_score_better"),
                _flag(body, "is_enforced"),
                now_text(),
            ),
        )
    elif orjson.loads(row[0]) != config:
        raise HttpError(400, f"the feedback key {key!r} has a different configuration: change that one")
    elif row[1] and _flag(body, "is_enforced"):
        raise HttpError(400, f"the feedback key {key!r} has an enforced configuration already")
    return key


def update_config(connection: sqlite3.Connection, tenant_id: str, body: dict[str, Any]) -> str:
    """Change what is told of a configuration and return its key; 404 if there is none."""
    key = config_key(body.get("feedback_key"))
    if body.get("id") is not None and str(body["id"]) != _id(tenant_id, key):
        raise HttpError(404, f"the feedback key {key!r} has no configuration {body['id']}")
    values: dict[str, Any] = {"modified_at": now_text()}
    if body.get("feedback_config") is not None:
        values["config"] = orjson.dumps(checked(body["feedback_config"]))
    added, removed = body.get("add_categories") or [], body.get("remove_categories") or []
    if added or removed:
        config = orjson.loads(values.get("config") or _config(connection, key))
        values["config"] = orjson.dumps(recategorised(config, added, removed))
    if body.get("is_lower_score_better") is not None:
        values["is_lower_score_better"] = _flag(body, "is_lower_score_better")
    sets = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE feedback_configs SET {sets} WHERE key = ?"  # noqa: S608
    if connection.execute(sql, (*values.values(), key)).rowcount == 0:
        raise _unknown(key)
    return key


def key_of(connection: sqlite3.Connection, tenant_id: str, config_id: str) -> str:
    """Return the key of a configuration; 404 if there is none."""
    for (key,) in connection.execute("SELECT key FROM feedback_configs"):
        if _id(tenant_id, key) == config_id:
            return str(key)
    raise HttpError(404, f"there is no configuration {config_id}")


def _unknown(key: str) -> HttpError:
    return HttpError(404, f"the feedback key {key!r} has no configuration")


def _id(tenant_id: str, key: str) -> str:
    # One configuration per key: its id can be told from the key.
    return str(uuid.uuid5(uuid.UUID(tenant_id), key))


def _config(connection: sqlite3.Connection, key: str) -> bytes:
    row = connection.execute("SELECT config FROM feedback_configs WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise _unknown(key)
    return bytes(row[0])


def delete_config(connection: sqlite3.Connection, key: str) -> None:
    """Delete a configuration; it can be made again. 404 if there is none."""
    if connection.execute("DELETE FROM feedback_configs WHERE key = ?", (key,)).rowcount == 0:
        raise _unknown(key)


def read_config(connection: sqlite3.Connection, tenant_id: str, key: str) -> dict[str, Any]:
    """Return one configuration; 404 if there is none."""
    row = connection.execute(f"{_SELECT} WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise _unknown(key)
    return _shown(tenant_id, row)


def list_configs(
    connection: sqlite3.Connection,
    tenant_id: str,
    keys: list[str],
    name_contains: str | None,
    limit: int,
    offset: int,
) -> list[dict[str, Any]]:
    """Return a page of configurations, by key."""
    where: list[str] = ["1"]
    args: list[Any] = []
    if keys:
        where.append(f"key IN ({marks(keys)})")
        args += keys
    if name_contains is not None:
        where.append("key LIKE ? ESCAPE '\\'")
        args.append(like(name_contains))
    sql = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY key LIMIT ? OFFSET ?"
    return [_shown(tenant_id, row) for row in connection.execute(sql, (*args, limit, offset))]


def config_key(value: object) -> str:
    """Return a feedback key; 422 if it is none."""
    if isinstance(value, str) and value:
        return value
    raise HttpError(422, "feedback_key must be a string, and not empty")


def checked(config: object) -> dict[str, Any]:
    """Return a configuration; 422 unless it has a type, and bounds or categories that go with it."""
    if not isinstance(config, dict) or config.get("type") not in _TYPES:
        raise HttpError(422, f"feedback_config must be an object whose type is one of {', '.join(_TYPES)}")
    low, high, categories = config.get("min"), config.get("max"), config.get("categories")
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
            raise HttpError(422, "min and max of a feedback_config must be numbers")
    if low is not None and high is not None and low > high:
        raise HttpError(422, "min of a feedback_config must not be above max")
    if categories is not None and not isinstance(categories, list):
        raise HttpError(422, "categories of a feedback_config must be a list")
    if config["type"] == "categorical" and not categories:
        raise HttpError(422, "a categorical feedback_config must have categories")
    return {name: value for name, value in config.items() if value is not None}


def recategorised(config: dict[str, Any], added: object, removed: object) -> dict[str, Any]:
    """Return a configuration with categories added and removed, by value (langsmith 0.15.1, client.py:8865).

    422 if it is not categorical, a value or label is there twice, or fewer than two would remain.
    """
    if config["type"] != "categorical":
        raise HttpError(422, "only a categorical feedback_config has categories")
    if not isinstance(added, list) or not all(isinstance(one, dict) and "value" in one for one in added):
        raise HttpError(422, "add_categories must be a list of objects with a value")
    if not isinstance(removed, list):
        raise HttpError(422, "remove_categories must be a list of values")
    kept = [one for one in config["categories"] if one.get("value") not in removed] + added
    for name in ("value", "label"):
        told = [one[name] for one in kept if one.get(name) is not None]
        if any(one in told[:place] for place, one in enumerate(told)):
            raise HttpError(422, f"two categories must not have the same {name}")
    if removed and len(kept) < 2:
        raise HttpError(422, "a categorical feedback_config keeps at least two categories")
    return {**config, "categories": kept}


def _flag(body: dict[str, Any], name: str) -> int:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return int(bool(value))
    raise HttpError(422, f"{name} must be true or false")


def _shown(tenant_id: str, row: tuple[Any, ...]) -> dict[str, Any]:
    key, config, lower, enforced, modified = row
    return {
        "id": _id(tenant_id, key),
        "feedback_key": key,
        "feedback_config": fragment(config),
        "tenant_id": tenant_id,
        "modified_at": modified,
        "is_lower_score_better": bool(lower),
        "is_enforced": bool(enforced),
    }
