"""Is there a LangSmith, and does it take the key: asked as `run` asks it, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from langsmith import Client

from evalrunner.config import Endpoint
from evalrunner.errors import ServiceError
from evalrunner.service import preflight
from evalrunner.service.client import LOOPBACK, make_client
from evalrunner.service.errors import host
from evalrunner.service.preflight import Greeting, Unfit


@dataclass
class Service:
    """How far we came.

    Attributes:
        host: the endpoint's.
        greeting: what it says of itself, if it came to that.
        trouble: why it did not.
        workspace: of the key, where something says it.
        key_trouble: why the key was not accepted; only asked for once there is a greeting.
        open_way: the key and the traces would travel unencrypted, through a network.
    """

    host: str
    greeting: Greeting | None = None
    trouble: Unfit | None = None
    workspace: str | None = None
    key_trouble: Unfit | None = None
    open_way: bool = False


def look(endpoint: Endpoint) -> Service:
    """Ask it, in 5 seconds at most."""
    address = urlsplit(endpoint.url)
    seen = Service(host(endpoint.url), open_way=address.scheme == "http" and address.hostname not in LOOPBACK)
    try:
        client = make_client(endpoint)
    except ServiceError as error:
        seen.trouble = Unfit(str(error))
        return seen
    try:
        preflight.in_time(client, lambda: _ask(client, seen))
    except Unfit as late:
        if seen.greeting is None:
            seen.trouble = late
        else:
            seen.key_trouble = late
    return seen


def _ask(client: Client, seen: Service) -> None:
    """Note each answer as it comes: if the next does not come in time, this one is known."""
    with preflight.opened(client) as session:
        seen.greeting = preflight.greet(session, client)
        seen.workspace = client.workspace_id or None
        found = preflight.show_key(session, client)
        seen.workspace = seen.workspace or found
