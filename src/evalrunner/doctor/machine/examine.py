"""Looking at everything, and judging it, one subject after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from evalrunner.config import Endpoint
from evalrunner.doctor.machine.check import Check, Group, Status
from evalrunner.doctor.machine.judging import batch, variables
from evalrunner.doctor.machine.judging import limits as of_limits
from evalrunner.doctor.machine.judging import places as of_places
from evalrunner.doctor.machine.judging import processes as of_processes
from evalrunner.doctor.machine.judging import proxies as of_proxies
from evalrunner.doctor.machine.judging import software as of_software
from evalrunner.doctor.machine.judging.environ import Surroundings, read
from evalrunner.doctor.machine.looking import limits, places, processes, proxies, sdk, software

#: As service/client.py has it, which imports the SDK.
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Wishes:
    """What a run that is started here would use.

    Attributes:
        workers: how many, and `method` how they start.
        runs: the folder of the runs.
        store: the local backend's file, where that is what a run uses.
        source: what configures the LangSmith, where there is one.
        endpoint: of it; None where it cannot be used, and then `refusal` says why.
        settings: where the settings are from; `broken` why they cannot be had.
    """

    workers: int
    method: str
    runs: Path
    store: Path | None = None
    source: str = ""
    endpoint: Endpoint | None = None
    refusal: str = ""
    settings: str = ""
    broken: str = ""


def examine(wishes: Wishes) -> Iterator[Group]:
    """Yield one group of checks after the other, as soon as it is known."""
    environ = dict(os.environ)  # as it was: whoever asks a local service spares it the proxies
    yield Group("Software", (*of_software.judge(software.look()), _settings(wishes)))
    asked = tuple(_langsmith(wishes, environ))
    yield Group("LangSmith", asked)
    zstd = next(("no zstd" not in one.seen for one in asked if one.code == "abilities"), None)
    around = Surroundings(zstd, sdk.look().otel)
    yield Group("Environment", tuple(variables.judge(environ, around)))
    yield Group("This machine", tuple(_machine(wishes, environ)))
    yield Group("Folders", tuple(_folders(wishes)))


def _settings(wishes: Wishes) -> Check:
    if wishes.broken:
        return Check("settings", Status.FAILURE, wishes.broken, "mend that: no command works until then")
    return Check("settings", Status.OK, wishes.settings)


def _langsmith(wishes: Wishes, environ: dict[str, str]) -> Iterator[Check]:
    url = wishes.endpoint.url if wishes.endpoint else None
    seen = proxies.look(url)
    local = wishes.store is not None or bool(url and urlsplit(url).hostname in _LOOPBACK)
    if wishes.store is not None:
        why = f"--local, though {wishes.source} names one" if wishes.source else "none is configured"
        yield Check("endpoint", Status.OK, f"{why}: a run starts the local backend")
    elif wishes.endpoint is None:
        yield Check("endpoint", Status.FAILURE, wishes.refusal, "mend that, or say --local")
    else:
        yield from _asked(wishes.endpoint, wishes.source, environ)
    yield from of_proxies.judge(seen, on_loopback=local)


def _asked(endpoint: Endpoint, source: str, environ: dict[str, str]) -> Iterator[Check]:
    # The SDK costs 0.3 s, and a variable of its own may keep it from being imported.
    from evalrunner.doctor.machine.judging import service as of_service  # noqa: PLC0415
    from evalrunner.doctor.machine.looking import service  # noqa: PLC0415

    key = read(environ, "API_KEY")
    yield from of_service.judge(service.look(endpoint), key.name if key else source)


def _machine(wishes: Wishes, environ: dict[str, str]) -> Iterator[Check]:
    yield from of_limits.judge(limits.look(), wishes.workers)
    yield from of_processes.judge(processes.look(), wishes.method)
    yield from batch.judge(environ)


def _folders(wishes: Wishes) -> Iterator[Check]:
    yield from of_places.judge(places.look("runs", wishes.runs))
    if wishes.store is not None:
        yield from of_places.judge(places.look("store", wishes.store.parent))
    temporary = places.temporary()
    yield from of_places.judge_temporary(places.look("temporary", temporary) if temporary else None)
    yield from of_places.judge_shared(places.look("shared-memory", Path("/dev/shm")))  # noqa: S108
