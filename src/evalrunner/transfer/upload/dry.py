"""How long an upload will take at least: some of it is built and packed as it would be sent, and thrown away."""

from __future__ import annotations

import zstandard

from evalrunner.clock import SYSTEM
from evalrunner.transfer.upload.index import SOUND
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.summary import sized

#: Bytes of the input that are tried.
_SAMPLE = 32 << 20
#: What a plan of the hosted service takes in an hour, the smallest and the largest.
_QUOTA = 500e6, 5e9


def estimate(plan: Plan) -> list[str]:
    """Say what an upload costs in time."""
    traces, runs, size = plan.index.count(SOUND)
    if not traces:
        return []
    taken, packed, seconds = _try(plan)
    machine = seconds * size / taken
    wire = packed * size / taken
    spent = f"about {machine:,.0f} s" if machine >= 1 else "less than a second"
    said = [
        f"it is {sized(size)}, about {sized(wire)} of it on the wire; building and packing takes this machine "
        f"{spent}, and the network and the service come on top"
    ]
    if size > _QUOTA[0]:
        hours = [size / quota for quota in _QUOTA]
        said.append(
            f"the hosted service takes 0.5 to 5 GB an hour, by plan: {hours[1]:.1f} to {hours[0]:.1f} h "
            f"for {runs:,} runs"
        )
    return said


def _try(plan: Plan) -> tuple[int, int, float]:
    """Build and pack a sample; return its bytes, how many they are packed, and how long it took."""
    packer = zstandard.ZstdCompressor(level=1)
    began, taken, packed = SYSTEM.monotonic(), 0, 0
    for tree in plan.index.trees(SOUND):
        if taken >= _SAMPLE:
            break
        for _, _, data in plan.encoded("-" * 43, plan.placed([tree])[tree.n]):
            packed += len(packer.compress(data))
        taken += tree.size
    return taken, packed, SYSTEM.monotonic() - began
