"""Opening LangSmith for a command: the one that is configured, or the local backend, said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from evalrunner.cli.output import Output, shown
from evalrunner.cli.settings.gather import Settings
from evalrunner.config import Endpoint
from evalrunner.connect.embedded import Embedded
from evalrunner.connect.endpoint import configured, refuse_unimportable, resolve


@contextlib.contextmanager
def opened(
    settings: Settings, output: Output, *, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[Endpoint]:
    """Yield where LangSmith is, and keep a local backend alive as long.

    Args:
        settings: of the command.
        output: is told when the local backend is used.
        meanwhile: something slow that can be done while it starts.
    """
    refuse_unimportable()
    source = configured()
    if source and not settings["local"]:
        yield resolve(source)
        return
    store = settings.path("store")
    assert store is not None, "it has a default"
    why = "--local" if settings["local"] else "no LangSmith is configured"
    output.note(f"{why}: using the local backend, store {shown(store)}")
    with Embedded(store, meanwhile=meanwhile) as endpoint:
        yield endpoint
