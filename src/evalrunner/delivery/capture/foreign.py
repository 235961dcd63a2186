"""Draining what did not go through our client.

A target may have made clients of its own; its traces are outside the books, and are drained all the same.
`tracing_queue.join()` waits for nothing while compression is on (runs then go past the queue), so the
compressed buffer is flushed too; neither says whether anything arrived.
"""

from __future__ import annotations

import gc
import logging
import threading

from langsmith import Client

from evalrunner.delivery.capture.sdk import RecordingClient

logger = logging.getLogger(__name__)


def drain_foreign_clients(timeout: float) -> int:
    """Drain every LangSmith client of this process that is not ours; return how many there were.

    Args:
        timeout: seconds for all of them together; whatever is not sent by then is left to its client.
    """
    clients = [found for found in gc.get_objects() if _is_foreign(found)]
    threads = [threading.Thread(target=_drain, args=(client, timeout), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout)
    return len(clients)


def _is_foreign(found: object) -> bool:
    try:
        return isinstance(found, Client) and not isinstance(found, RecordingClient)
    except Exception:
        return False  # a proxy of the user's that raises when it is looked at


def _drain(client: Client, timeout: float) -> None:
    try:
        if client.tracing_queue is not None:
            client.tracing_queue.join()
        client.flush(timeout=timeout)
    except Exception:
        logger.exception("a client of the target's own could not be drained")
