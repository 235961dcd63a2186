"""Proxies: what goes through them, and whether this machine's own addresses are spared."""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.looking.proxies import Proxies

_SPARE = "export NO_PROXY=localhost,127.0.0.1,::1"


def judge(seen: Proxies, *, on_loopback: bool) -> Iterator[Check]:
    """Yield what there is to say of proxies.

    Args:
        on_loopback: the LangSmith that is used is on this machine.
    """
    if seen.spared:
        yield Check("proxy", Status.OK, _way(seen))
        return
    yield Check(
        "proxy",
        Status.WARNING if on_loopback else Status.NOTE,
        f"{' and '.join(seen.named) or 'the proxy'} would also be asked for this machine's own addresses: "
        "evalrunner spares them, and a programme with the SDK alone does not reach a local backend",
        _SPARE,
    )


def _way(seen: Proxies) -> str:
    if not seen.named:
        return "none is named"
    if seen.endpoint is None:
        return f"{', '.join(seen.named)} named, and not on the way to LangSmith"
    return f"LangSmith is asked through {seen.endpoint} ({', '.join(seen.named)})"
