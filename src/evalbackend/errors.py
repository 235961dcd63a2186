"""The errors of the local backend. Whoever starts it catches BackendError: its text is one sentence for a person."""

from __future__ import annotations


class BackendError(Exception):
    """The server cannot be started as asked; nothing has been written."""


class ConfigError(BackendError):
    """A fault plan or a table of prices is wrong, with its file and place."""


class StoreError(BackendError):
    """The store file cannot be opened: damaged, in use by another server, unwritable, or too new."""


class HttpError(Exception):
    """The request cannot be served; `status` is the HTTP status, `detail` one sentence for the client."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
