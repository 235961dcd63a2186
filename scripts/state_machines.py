"""The state machines of items and workers, drawn from their tables. CONTRIBUTING.md holds what this prints.

python scripts/state_machines.py
"""

from __future__ import annotations

from collections.abc import Iterable

from evalrunner.protocol import lease, worker


def drawn() -> str:
    """Return both, as text."""
    items = [(before.name, what.name.lower(), after.name) for (before, what), after in lease.TABLE.items()]
    order = list(worker.WorkerState)
    pairs = sorted(worker.TABLE, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    workers = [(before.name, "", after.name) for before, after in pairs]
    return "\n".join(
        [
            "an item, that is one (example, repetition)        protocol/lease.py",
            *_lines([state.name for state in lease.ItemState], items),
            "",
            "a worker process                                  protocol/worker.py",
            *_lines([state.name for state in order], workers),
        ]
    )


def _lines(states: Iterable[str], moves: Iterable[tuple[str, str, str]]) -> list[str]:
    known = list(moves)
    found = []
    for state in states:
        ways = [f"-{what}-> {to}" if what else f"-> {to}" for before, what, to in known if before == state]
        found.append(f"    {state:<14}{'   '.join(ways) or '(the end)'}")
    return found


if __name__ == "__main__":
    print(drawn())
