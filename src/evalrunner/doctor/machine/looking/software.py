"""Which versions are installed, and which this release of ours asks for."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from evalrunner import __version__

#: What a run depends on most; the rest is pip's to look after.
PACKAGES = ("langsmith", "multiprocess", "psutil")


@dataclass(frozen=True)
class Package:
    """One package: the version that is there (None: none), and the range that is asked for ("": any)."""

    name: str
    version: str | None
    wanted: str


@dataclass(frozen=True)
class Software:
    """What is installed."""

    evalrunner: str
    python: str
    implementation: str
    executable: str
    packages: tuple[Package, ...]


def look() -> Software:
    """Read it."""
    wanted = _wanted()
    return Software(
        evalrunner=__version__,
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=sys.executable,
        packages=tuple(Package(name, _installed(name), wanted.get(name, "")) for name in PACKAGES),
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _wanted() -> dict[str, str]:
    try:
        lines = metadata.requires("evalrunner") or []
    except metadata.PackageNotFoundError:
        return {}  # it runs from a folder, without having been installed
    found = [Requirement(line) for line in lines]
    return {one.name: str(one.specifier) for one in found if not one.marker or one.marker.evaluate()}
