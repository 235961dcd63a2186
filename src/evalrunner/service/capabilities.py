"""What a LangSmith service says of itself in GET /info, as far as we depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def takes_multipart(info: Mapping[str, Any]) -> bool:
    """Whether runs can be sent to POST /runs/multipart."""
    config = info.get("batch_ingest_config") or {}
    return bool(config.get("use_multipart_endpoint", True))


def takes_zstd(info: Mapping[str, Any]) -> bool:
    """Whether a body may be compressed with zstd."""
    return bool((info.get("instance_flags") or {}).get("zstd_compression_enabled"))


def only_newer_reads(info: Mapping[str, Any]) -> bool:
    """Whether the older generation of reads is gone.

    The SDK's own rule (langsmith/_internal/_v2_migration_utils.py:27): the newer one is asked only where that is so.
    """
    flags = info.get("instance_flags") or {}
    return bool(flags.get("sdb_query_enabled", False)) and not flags.get("ch_query_enabled", True)


def size_limit(info: Mapping[str, Any]) -> int:
    """Bytes that the service takes in one request; 20 MiB where it does not say (the SDK's own default)."""
    return int((info.get("batch_ingest_config") or {}).get("size_limit_bytes") or 20 << 20)
