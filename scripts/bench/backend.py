"""The local backend under load: runs taken in per second, a page of 100 root runs, memory, at N and at 10 N.

    python scripts/bench/backend.py [--n 20000] [--json FILE]   (make bench-backend)

The server has one core for itself, the clients another one (if there is only one, they share it, and it is
said). Small runs: complete roots, 100 to a request as the SDK sends them, zstd, four connections that always
have a request under way. Each size begins with an empty store. `last` is the rate of the last fifth. `page` is
POST /runs/query for 100 root runs with all their fields, the newest and 100 from the middle; `slim` selects
four fields. RSS is the server's, after all of it; `peak` the highest that the kernel has seen. In the end all
runs are counted, by paging through them, and SQLite looks through the file.

Goals, at the larger size: 3,000 runs/s, 50 ms, 250 MiB at 200,000 runs.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts import wire
from scripts.bench import common

SESSION = "bench"
BATCH = 100
CONNECTIONS = 4
PAGES = 31
RATE, PAGE_MS, RSS_MIB = 3_000, 50.0, 250.0
MIB = 2**20
SLIM = ["id", "name", "status", "start_time"]


@dataclass(frozen=True)
class Figures:
    """What one size came to."""

    runs: int
    seconds: float
    rate: float
    last_rate: float
    page_ms: float
    middle_ms: float
    slim_ms: float
    rss_mib: float
    peak_mib: float
    store_mib: float
    counted: int
    integrity: str

    @property
    def whole(self) -> bool:
        """Whether every run is there, in a sound file."""
        return self.counted == self.runs and self.integrity == "ok"


def main() -> int:
    """Measure both sizes and print; 1 only if something is lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000, help="runs; then ten times as many")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    common.print_machine()
    mine, server = _split()
    common.say(f"server on core {server}, clients on core {mine}{' (THE SAME)' if mine == server else ''}")
    sizes = [measure(size, mine, server) for size in (options.n, 10 * options.n)]
    show(sizes)
    common.write_json(options.json, {"machine": common.machine(), "sizes": [asdict(size) for size in sizes]})
    return 0 if all(size.whole for size in sizes) else 1


def _split() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1], cores[0]


def measure(runs: int, mine: int, core: int) -> Figures:
    """Fill a fresh store and ask it."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})  # the server inherits it
    try:
        with common.backend() as server:
            os.sched_setaffinity(0, {mine})
            assert server.process.cpu_affinity() == [core]
            seconds, last = ingest(server, runs)
            pages = [_page_ms(server, runs, **body) for body in ({}, {"middle": True}, {"slim": True})]
            counted = count(server)
            memory, peak = server.process.memory_info().rss, _peak(server.process.pid)
            server.process.terminate()
            server.process.wait(30)
            store = server.folder / "store.sqlite"
            sound, size = integrity(store), store.stat().st_size
    finally:
        os.sched_setaffinity(0, allowed)
    return Figures(
        runs=runs,
        seconds=seconds,
        rate=runs / seconds,
        last_rate=last,
        page_ms=pages[0],
        middle_ms=pages[1],
        slim_ms=pages[2],
        rss_mib=memory / MIB,
        peak_mib=peak / MIB,
        store_mib=size / MIB,
        counted=counted,
        integrity=sound,
    )


def ingest(server: common.Backend, runs: int) -> tuple[float, float]:
    """Send the runs over all connections; return (seconds, runs per second of the last fifth)."""
    todo = iter(range(0, runs, BATCH))
    turn, failures = threading.Lock(), []
    answered: list[tuple[float, int]] = []

    def work() -> None:
        line = wire.Line(server.url, server.token, timeout=120)
        while True:
            with turn:
                first = next(todo, None)
            if first is None:
                return line.close()
            numbers = range(first, min(first + BATCH, runs))
            body = wire.packed(
                part
                for number in numbers
                for part in wire.post(wire.new_id(), SESSION, ended=True, number=number + 1)
            )
            status = line.send(body)
            if status != 202:
                failures.append(status)
            answered.append((time.perf_counter(), len(numbers)))

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or sum(count for _, count in answered) != runs:
        raise RuntimeError(f"not everything was answered 202: {failures[:5]}")
    answered.sort()
    seconds = answered[-1][0] - began
    return seconds, _last_rate(answered) if len(answered) >= 50 else runs / seconds


def _last_rate(answered: list[tuple[float, int]]) -> float:
    tail = answered[-(len(answered) // 5) :]
    return sum(count for _, count in tail[1:]) / (tail[-1][0] - tail[0][0])


def _page_ms(server: common.Backend, runs: int, *, middle: bool = False, slim: bool = False) -> float:
    line, spent = wire.Line(server.url, server.token), []
    body: dict[str, Any] = {"session": [_session(line)], "is_root": True, "limit": 100}
    if slim:
        body["select"] = SLIM
    if middle:
        body["cursor"] = _cursor_at(line, body, runs // 2)
    for _ in range(PAGES):
        began = time.perf_counter()
        found = _query(line, body)
        spent.append(1000 * (time.perf_counter() - began))
        assert len(found["runs"]) == min(100, runs - (runs // 2 // BATCH * BATCH if middle else 0))
    line.close()
    return median(spent)


def _session(line: wire.Line) -> str:
    status, told = line.ask("GET", f"/sessions?name={SESSION}")
    assert status == 200, told
    return str(orjson.loads(told)[0]["id"])


def _query(line: wire.Line, body: dict[str, Any]) -> dict[str, Any]:
    status, told = line.ask("POST", "/runs/query", orjson.dumps(body))
    assert status == 200, told
    found: dict[str, Any] = orjson.loads(told)
    return found


def _cursor_at(line: wire.Line, body: dict[str, Any], runs: int) -> str | None:
    found: dict[str, Any] = {"cursors": {"next": None}}
    for _ in range(runs // BATCH):
        found = _query(line, {**body, "select": ["id"], "cursor": found["cursors"]["next"]})
    following: str | None = found["cursors"]["next"]
    return following


def count(server: common.Backend) -> int:
    """Return how many different root runs the pages have."""
    line = wire.Line(server.url, server.token)
    body: dict[str, Any] = {"session": [_session(line)], "is_root": True, "select": ["id"]}
    seen: set[str] = set()
    while True:
        found = _query(line, body)
        seen.update(run["id"] for run in found["runs"])
        body["cursor"] = found["cursors"]["next"]
        if body["cursor"] is None:
            line.close()
            return len(seen)


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def integrity(store: Path) -> str:
    """Return what SQLite says of the whole file."""
    connection = sqlite3.connect(store)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


def show(sizes: list[Figures]) -> None:
    """Print the table and the verdicts."""
    print(f"\n{'runs':>8} {'s':>6} {'runs/s':>7} {'last':>7} {'page':>7} {'middle':>7} {'slim':>7} "
          f"{'RSS':>6} {'peak':>6} {'store':>7}")  # fmt: skip
    for one in sizes:
        print(f"{one.runs:>8,} {one.seconds:>6.1f} {one.rate:>7,.0f} {one.last_rate:>7,.0f} {one.page_ms:>6.1f}m "
              f"{one.middle_ms:>6.1f}m {one.slim_ms:>6.1f}m {one.rss_mib:>6.0f} {one.peak_mib:>6.0f} "
              f"{one.store_mib:>7.1f}")  # fmt: skip
    print("(pages in ms, memory and store in MiB)\n")
    most = sizes[-1]
    _verdict("runs/s", most.rate, most.rate >= RATE, f">= {RATE:,}")
    slowest = max(most.page_ms, most.middle_ms)
    _verdict("ms for a page", slowest, slowest <= PAGE_MS, f"<= {PAGE_MS:g}")
    _verdict("MiB RSS", most.rss_mib, most.rss_mib <= RSS_MIB, f"<= {RSS_MIB:g}")
    for one in sizes:
        print(f"integrity at {one.runs:,}: {one.counted:,} runs found, file {one.integrity}")


def _verdict(what: str, value: float, holds: bool, goal: str) -> None:
    print(f"{'HOLDS' if holds else 'DOES NOT HOLD'}: {value:,.1f} {what}, goal {goal}")


if __name__ == "__main__":
    sys.exit(main())
