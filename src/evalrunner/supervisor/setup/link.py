"""How a run reaches LangSmith: where it is, what it says of itself, and what talks to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langsmith import Client

from evalrunner.config import Endpoint
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.errors import ServiceError
from evalrunner.service.capabilities import only_newer_reads, takes_multipart, takes_zstd
from evalrunner.service.client import make_client
from evalrunner.service.preflight import check
from evalrunner.verify.readback import ReadBack


@dataclass(frozen=True)
class Link:
    """One LangSmith that has answered.

    Attributes:
        client: of the supervisor's own thread.
        info: the service's GET /info, so that no worker has to ask again.
    """

    endpoint: Endpoint
    client: Client
    info: dict[str, Any]

    @classmethod
    def open(cls, endpoint: Endpoint) -> Link:
        """Ask who is there.

        Raises:
            ServiceError: nobody, or nobody that evalrunner can work with; nothing was executed.
        """
        client = make_client(endpoint)
        info: dict[str, Any] = check(client).model_dump(mode="json")
        if not takes_multipart(info):
            raise ServiceError(
                "this LangSmith does not take POST /runs/multipart, which evalrunner needs; update it"
            )
        return cls(endpoint, client, info)

    @property
    def newer(self) -> bool:
        """Whether runs are read in the newer generation."""
        return only_newer_reads(self.info)

    @property
    def compress(self) -> bool:
        """Whether what is sent may be compressed."""
        return takes_zstd(self.info)

    def transport(self) -> HttpTransport:
        """Return a further way to send runs."""
        return HttpTransport(self.endpoint.url, self.endpoint.key, workspace=self.endpoint.workspace)

    def hasty_client(self) -> Client:
        """Return a further client, for one thread, that does not retry by itself."""
        return make_client(self.endpoint, retries=0)

    def brief(self, seconds: float, experiment_id: str) -> tuple[Client, ReadBack]:
        """Return a client and a reader for a run that was stopped and has so many seconds left.

        Each answer has half of them: a connection that has grown stale gets a second try.
        """
        client = make_client(self.endpoint, retries=0, patience=max(0.25, min(30.0, seconds / 2)))
        return client, ReadBack(client, experiment_id, newer=self.newer, attempts=1)

    def reader(self, experiment_id: str) -> ReadBack:
        """Return what reads an experiment with patience, for the supervisor's own thread."""
        return ReadBack(self.client, experiment_id, newer=self.newer, hasty=self.hasty_client())

    def hasty_reader(self, experiment_id: str, *, live: bool) -> ReadBack:
        """Return what asks once each time, for a thread of its own: what cannot be read must not hold up the rest."""
        return ReadBack(self.hasty_client(), experiment_id, newer=self.newer, attempts=1, openings=live)
