"""What a LangSmith service says of itself in GET /info, as far as delivery depends on it."""

from __future__ import annotations

from typing import Any


def takes_multipart(info: dict[str, Any]) -> bool:
    """Whether runs can be sent to POST /runs/multipart."""
    config = info.get("batch_ingest_config") or {}
    return bool(config.get("use_multipart_endpoint", True))


def takes_zstd(info: dict[str, Any]) -> bool:
    """Whether a body may be compressed with zstd."""
    return bool((info.get("instance_flags") or {}).get("zstd_compression_enabled"))
