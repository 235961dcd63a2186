"""Recorded traces as people have them: trees of runs of every type, some failed, with events, in odd zones.

The same seed makes the same traces; ids are the source's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

TYPES = ("chain", "llm", "tool", "retriever", "embedding", "prompt", "parser")
_ZONES = ("Z", "+00:00", "", "+05:30", "-08:00")
_WORDS = (
    *(
        "der",
        "das",
        "und",
        "agent",
        "tool",
        "call",
        "answer",
        "question",
        "retrieval",
        "vector",
        "latency",
        "café",
    ),
    *(
        "naïve",
        "数据",
        "検索",
        "данные",
        "réponse",
        "token",
        "budget",
        "context",
        "window",
        "system",
        "schema",
    ),
)


class Recorder:
    """Makes traces.

    Args:
        size: bytes of a run, about.
        depth: of the deepest run.
        span: seconds between the first and the last start of a trace.
    """

    def __init__(self, seed: int, *, size: int = 2400, depth: int = 8, span: float = 3600.0) -> None:
        self._random = random.Random(seed)
        self._size, self._depth, self._span = size, depth, span
        self.begin = datetime(2025, 3, 1, 9, 0, tzinfo=timezone.utc)

    def traces(self, runs: int, fan: int = 10) -> Iterator[list[dict[str, Any]]]:
        """Return traces of about `fan` runs, `runs` in all."""
        left = runs
        while left > 0:
            count = min(left, self._random.randint(1, 2 * fan - 1))
            yield self._trace(count)
            left -= count

    def _trace(self, count: int) -> list[dict[str, Any]]:
        begin = self.begin + timedelta(seconds=self._random.random() * self._span)
        root = self._run(None, begin, 0)
        made = [root]
        depths = {root["id"]: 0}
        while len(made) < count:
            parent = self._random.choice([one for one in made if depths[one["id"]] < self._depth])
            offset = timedelta(milliseconds=self._random.randint(0, 900))
            run = self._run(parent, begin + offset, depths[parent["id"]] + 1)
            depths[run["id"]] = depths[parent["id"]] + 1
            made.append(run)
        return made

    def _run(self, parent: dict[str, Any] | None, start: datetime, level: int) -> dict[str, Any]:
        lot = self._random
        run_id = str(UUID(int=lot.getrandbits(128), version=4))
        zone = lot.choice(_ZONES)
        run: dict[str, Any] = {
            "id": run_id,
            "trace_id": parent["trace_id"] if parent else run_id,
            "parent_run_id": parent["id"] if parent else None,
            "name": f"{lot.choice(_WORDS)} {level}",
            "run_type": lot.choice(TYPES) if parent else "chain",
            "start_time": _written(start, zone),
            "end_time": _written(start + timedelta(milliseconds=lot.randint(1, 2000)), zone),
            "inputs": {"messages": self._text(self._size // 2), "n": 2**60 + lot.randint(0, 9), "x": 1.0},
            "outputs": {"text": self._text(self._size // 3), "usage": {"input_tokens": 7, "share": 0.1}},
            "extra": {"metadata": {"tenant": lot.choice("abc"), "level": level}, "runtime": {"sdk": "other"}},
            "tags": [lot.choice(_WORDS)],
            "error": None,
        }
        if lot.random() < 0.05:
            run |= {"error": "ValueError('too much')\n  at line 3", "outputs": None}
        if lot.random() < 0.3:
            run["events"] = [{"name": "new_token", "time": _written(start, zone), "kwargs": {"token": "é"}}]
        return run

    def _text(self, size: int) -> str:
        words: list[str] = []
        length = 0
        while length < size:
            words.append(self._random.choice(_WORDS))
            length += len(words[-1].encode()) + 1
        return " ".join(words)


def _written(moment: datetime, zone: str) -> str:
    if zone in ("", "Z", "+00:00"):
        return moment.replace(tzinfo=None).isoformat() + zone
    sign = 1 if zone[0] == "+" else -1
    offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
    return moment.astimezone(timezone(offset)).isoformat()


def write_array(path: Path, traces: Iterator[list[dict[str, Any]]]) -> int:
    """Write traces as one JSON array, run by run; return how many runs there are."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for trace in traces:
            for run in trace:
                file.write("[\n" if not count else ",\n")
                file.write(json.dumps(run, ensure_ascii=False))
                count += 1
        file.write("\n]\n")
    return count


def write_lines(path: Path, traces: Iterator[list[dict[str, Any]]]) -> int:
    """Write traces as JSONL; return how many runs there are."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for trace in traces:
            for run in trace:
                file.write(json.dumps(run, ensure_ascii=False) + "\n")
                count += 1
    return count
