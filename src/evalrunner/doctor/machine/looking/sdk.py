"""What the LangSmith SDK finds installed beside it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Beside:
    """What changes what a variable does.

    Attributes:
        otel: the packages without which the SDK's OpenTelemetry modes fall back to ordinary tracing.
    """

    otel: bool


def look() -> Beside:
    """Read it."""
    return Beside(otel=all(map(_there, ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))))


def _there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
