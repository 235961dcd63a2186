"""The two errors of this room."""

from __future__ import annotations

from evalrunner.errors import UsageError


class HttpError(Exception):
    """The request cannot be served; `status` is the HTTP status, `detail` one sentence for the client."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class StoreError(UsageError):
    """The store file cannot be opened: damaged, in use by another server, unwritable, or too new."""
