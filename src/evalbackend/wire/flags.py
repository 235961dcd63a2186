"""The flags of GET /info by which the SDK chooses how to send and how to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalbackend.errors import HttpError

FLAGS = {
    "zstd_compression_enabled": True,
    "dataset_examples_multipart_enabled": True,
    "examples_multipart_enabled": True,
    "ch_query_enabled": True,  # the older reads of runs
    "sdb_query_enabled": False,  # those of the second generation; they are served whatever this says
}


def changed(flags: Mapping[str, bool], told: Mapping[str, Any]) -> dict[str, bool]:
    """Return the flags with what is told; 422 for a flag that is not known or no boolean."""
    for name, value in told.items():
        if name not in FLAGS or not isinstance(value, bool):
            raise HttpError(422, f"{name!r} must be one of {', '.join(FLAGS)}, and true or false")
    return {**flags, **told}


def require_older_reads(flags: Mapping[str, bool]) -> None:
    """Raise 501 where the service has given up the older reads."""
    if not flags["ch_query_enabled"]:
        raise HttpError(501, "this server answers run queries under /api/v2 only (ch_query_enabled is false)")
