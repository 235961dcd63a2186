"""One backend for all cases, and the path on which the corpus lies."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(path) for path in (HERE, HERE / "corpus") if str(path) not in sys.path]

from langsmith.env import get_langchain_env_var_metadata  # noqa: E402
from stage import Stage  # type: ignore[import-not-found]  # noqa: E402

from tests.support.rig import backend_in  # noqa: E402


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One backend for all, in an environment that configures nothing but it."""
    with pytest.MonkeyPatch.context() as patch, backend_in(tmp_path_factory.mktemp("backend")) as backend:
        for name in list(os.environ):
            if name.startswith(("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_")):
                patch.delenv(name)
        for name in ("NO_PROXY", "no_proxy"):  # what a client for loopback adds to these is undone with them
            patch.setenv(name, os.environ.get(name, ""))
        patch.setenv("LANGSMITH_ENDPOINT", backend.url)
        patch.setenv("LANGSMITH_API_KEY", backend.token)
        # The SDK reads the environment once per process, and tests before these may have made it do so.
        get_langchain_env_var_metadata.cache_clear()
        yield Stage(backend, tmp_path_factory.mktemp("runs"))
    get_langchain_env_var_metadata.cache_clear()
