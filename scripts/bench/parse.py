"""How fast recorded runs are read, and in how much memory: json.load, orjson, msgspec, ijson and ours.

Each way and each file has a process of its own: CPU seconds of the reading alone, and the most memory that the
process had. The files are made first: runs of 24 KB and 2.4 KB as they are exported (half of them not ASCII), as an
array and as lines, indented, and one of embeddings.

python -m scripts.bench.parse --mb 100
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

FOREIGN = ["daten", "für", "größere", "Aufträge", "данные", "запрос", "ответ", "テスト", "答え", "ça", "déjà"]
PLAIN = [
    "the",
    "model",
    "calls",
    "a",
    "tool",
    "and",
    "answers",
    "with",
    "what",
    "it",
    "was",
    "told",
    "in",
    "words",
]
FILES = ("array 24 KB", "lines 24 KB", "array 2.4 KB", "lines 2.4 KB", "indented 24 KB", "embeddings")


def text(random_: random.Random, length: int, foreign: bool) -> str:
    """Return prose of about so many bytes, with quotes and ends of lines in it."""
    words: list[str] = []
    while length > 0:
        word = random_.choice(FOREIGN if foreign else PLAIN)
        words.append(word if random_.random() > 0.05 else f'"{word}",\n')
        length -= len(word.encode()) + 1
    return " ".join(words)


def run(random_: random.Random, size: int, foreign: bool, embeddings: bool = False) -> dict[str, Any]:
    """Return a run as it is exported, of about so many bytes."""

    def some_id() -> str:
        return str(uuid.UUID(int=random_.getrandbits(128)))

    prose = max(0, size - 1_200)
    messages = [
        {"role": role, "content": text(random_, prose // 6, foreign)} for role in ("system", "user", "tool")
    ]
    found = {"text": text(random_, prose // 2, foreign), "logprob": -0.1234, "finish_reason": "stop"}
    if embeddings:
        messages, found = [], {"embedding": [random_.gauss(0, 0.03) for _ in range(size // 22)]}
    return {
        "id": some_id(), "trace_id": some_id(), "parent_run_id": some_id(), "name": "ChatModel", "run_type": "llm",
        "start_time": "2024-04-29T00:49:12.090123+00:00", "end_time": "2024-04-29T00:49:13.090123+00:00",
        "inputs": {"messages": messages, "temperature": 0.7}, "outputs": {"generations": [[found]]}, "error": None,
        "extra": {"metadata": {"user": "u-17", "version": 1.0}, "runtime": {"sdk": "langsmith-py", "cores": 8}},
        "tags": ["prod"], "events": [{"name": "new_token", "time": "2024-04-29T00:49:12.190123+00:00"}],
        "session_id": some_id(), "dotted_order": f"20240429T004912090123Z{some_id()}", "status": "success",
        "total_tokens": 171, "feedback_stats": None, "child_run_ids": None,
    }  # fmt: skip


def make(path: Path, name: str, size: int) -> int:
    """Write a file of about so many bytes; return how many runs it has."""
    random_ = random.Random(name)
    each = 2_400 if "2.4" in name else 24_000
    indent = 2 if name.startswith("indented") else None
    different = [
        json.dumps(
            run(random_, each, foreign, name == "embeddings"), ensure_ascii=False, indent=indent
        ).encode()
        for foreign in (False, True) * 100
    ]
    lines = name.startswith("lines")
    written = count = 0
    with path.open("wb") as file:
        file.write(b"" if lines else b"[")
        while written < size:
            file.write(b"" if not count else b"\n" if lines else b", ")
            written += file.write(different[count % len(different)])
            count += 1
        file.write(b"" if lines else b"]")
    return count


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file."""
    with path.open("rb") as file:
        yield from file


def with_json(path: Path) -> int:
    """The standard library, all at once."""
    if path.suffix == ".jsonl":
        return sum(1 for line in lines_of(path) if json.loads(line))
    with path.open(encoding="utf-8") as file:
        return len(json.load(file))


def with_orjson(path: Path) -> int:
    """orjson, all at once."""
    import orjson

    if path.suffix == ".jsonl":
        return sum(1 for line in lines_of(path) if orjson.loads(line))
    return len(orjson.loads(path.read_bytes()))


def with_raw(path: Path) -> int:
    """msgspec's Raw, all at once, nothing checked beside: what the values of ours cost at least."""
    import msgspec

    if path.suffix == ".jsonl":
        decode = msgspec.json.Decoder(msgspec.Raw).decode
        return sum(1 for line in lines_of(path) if decode(line))
    return len(msgspec.json.decode(path.read_bytes(), type=list[msgspec.Raw]))


def with_ijson(path: Path) -> int:
    """ijson, in a stream."""
    import ijson

    with path.open("rb") as file:
        lines = path.suffix == ".jsonl"
        return sum(1 for _ in ijson.items(file, "" if lines else "item", multiple_values=lines))


def with_ours(path: Path) -> int:
    """Ours: elements with their places, checked, and the fingerprint."""
    from evalrunner.transfer.files import Inputs

    with Inputs([path], path.parent) as inputs:
        return sum(1 for element in inputs.elements() if not element.fault)


def with_told(path: Path) -> int:
    """Ours, as `upload` reads: what the index needs of each run, checked, and the fingerprint."""
    from evalrunner.transfer.files import Inputs
    from evalrunner.transfer.files.quick import PART

    with Inputs([path], path.parent) as inputs:
        return sum(1 for element in inputs.elements(PART) if not element.fault)


def with_runs(path: Path) -> int:
    """Ours, and a run made of each."""
    from evalrunner.transfer.files import Inputs, read_run

    with Inputs([path], path.parent) as inputs:
        return sum(read_run(element.data, element.fault).start > 0 for element in inputs.elements())


#: Each way, and the module that it needs: what an import takes is not counted.
WAYS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "json.load": ("json", with_json),
    "orjson": ("orjson", with_orjson),
    "msgspec Raw": ("msgspec", with_raw),
    "ijson": ("ijson", with_ijson),
    "ours": ("evalrunner.transfer.files", with_ours),
    "ours, told": ("evalrunner.transfer.files", with_told),
    "ours, runs": ("evalrunner.transfer.files", with_runs),
}


def measure(way: str, path: Path) -> None:
    """Read a file in this process, and print what it took."""
    module, read = WAYS[way]
    importlib.import_module(module)
    began = time.process_time()
    count = read(path)
    seconds = time.process_time() - began
    # Not ru_maxrss: that of the process which started this one is in it.
    peak = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak
    told = {"runs": count, "cpu": seconds, "mb": path.stat().st_size / 1e6, "rss": int(peak[1]) / 1024}
    print(json.dumps(told))


def in_a_process(way: str, path: Path) -> dict[str, Any]:
    """Read a file in a fresh process; return what it took."""
    command = [sys.executable, __file__, "--way", way, "--path", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def best(way: str, path: Path, count: int, tries: int) -> dict[str, Any]:
    """Return the best of several tries: what other people's load takes is none of a parser's."""
    found = [in_a_process(way, path) for _ in range(tries)]
    assert all(one["runs"] == count for one in found), f"{way} found {found[0]['runs']} of {count} runs"
    return {
        "way": way,
        "rate": max(one["mb"] / one["cpu"] for one in found),
        "rss": min(one["rss"] for one in found),
    }


def main() -> None:
    """Measure every way on every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=100, help="of each file")
    parser.add_argument("--tries", type=int, default=2)
    parser.add_argument("--files", type=int, default=len(FILES), help="the first of them alone")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        measure(options.way, options.path)
        return
    # Not before: it brings the SDK, and its memory, into every process that measures.
    from scripts.bench.common import machine, print_machine, say, scratch, write_json

    print_machine()
    document: dict[str, Any] = {"machine": machine(), "mb": options.mb, "files": {}}
    with scratch() as folder:
        for name in FILES[: options.files]:
            path = folder / ("runs.jsonl" if name.startswith("lines") else "runs.json")
            count = make(path, name, int(options.mb * 1e6))
            say(f"\n{name}: {count:,} runs, {path.stat().st_size / 1e6:,.0f} MB")
            rows = [best(way, path, count, options.tries) for way in WAYS]
            for row in rows:
                say(f"  {row['way']:12} {row['rate']:6.0f} MB per CPU-s {row['rss']:6.0f} MB of memory")
            document["files"][name] = {"runs": count, "rows": rows}
            path.unlink()
    write_json(options.json, document)


if __name__ == "__main__":
    main()
