"""Ids that are a function of what they name, so that sending twice cannot make two of anything.

The service keys its idempotency on (run id, operation): a run can be created once and ended once
(langsmith-sdk#1529). A re-sent run therefore carries the same id, and a new attempt carries a new one.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID, uuid5

#: Namespace of everything that evalrunner names by content.
NAMESPACE = UUID("0c5e2a4e-6e0b-5d6b-9b1e-6f1d3c7a9b55")

#: How many attempts of one (example, repetition) are looked for when an experiment is read back
#: without the ledger that made it.
KNOWN_ATTEMPTS = 16


def root_run_id(
    experiment_id: UUID, example_id: UUID, repetition: int, attempt: int, epoch: datetime, salt: str = ""
) -> UUID:
    """Name the root run of one attempt.

    Args:
        experiment_id: the shared experiment.
        example_id: the example.
        repetition: counted from 0.
        attempt: counted from 1.
        epoch: the experiment's start; its milliseconds become the id's time, so that ids of one
            experiment sort together (RFC 9562 §5.7, UUID version 7).
        salt: empty for the run folder that created the experiment, random for every other: two folders that
            evaluate one experiment must never make different runs under one id, because the service keeps
            the first root and adds the children and scores of both.
    """
    digest = hashlib.sha256(
        f"{experiment_id}|{example_id}|{repetition}|{attempt}{salt and '|' + salt}".encode()
    ).digest()
    return _uuid7(_millis(epoch), int.from_bytes(digest[:10], "big"))


def may_be_ours(run_id: str, epoch: datetime) -> bool:
    """Tell whether a run's id begins with the time that the ids of `root_run_id` begin with.

    Working out an id costs 10 us, and every attempt has one: whoever looks for ours among many runs begins with those
    that can be ours at all.
    """
    prefix = f"{_millis(epoch):012x}"
    return run_id[:8] == prefix[:8] and run_id[9:13] == prefix[8:]


def _millis(epoch: datetime) -> int:
    return int(epoch.timestamp() * 1000) & 0xFFFF_FFFF_FFFF


def _uuid7(millis: int, randomness: int) -> UUID:
    rand_a = (randomness >> 62) & 0xFFF
    rand_b = randomness & ((1 << 62) - 1)
    return UUID(int=(millis << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b)


def feedback_id(run_id: UUID, evaluator: str, key: str, index: int) -> UUID:
    """Name one score: the `index`-th that `evaluator` gave to `run_id` under `key`."""
    return uuid5(run_id, f"evalrunner:{evaluator}:{key}:{index}")


def failure_id(run_id: UUID, evaluator: str, key: str) -> UUID:
    """Name the record, under `key`, that `evaluator` raised on `run_id`; never a score's name."""
    return uuid5(run_id, f"evalrunner:{evaluator}:{key}:error")


def example_id(dataset: str, content: bytes, occurrence: int) -> UUID:
    """Name a pushed example by its dataset and content, so that pushing a file twice adds nothing.

    Args:
        dataset: the dataset's name.
        content: canonical JSON (sorted keys) of inputs, outputs and metadata.
        occurrence: 0 for the first row with this content, 1 for the next equal row, and so on.
    """
    return uuid5(NAMESPACE, f"{dataset}:{hashlib.sha256(content).hexdigest()}:{occurrence}")


def pushed_id(destination: UUID, source: str) -> UUID:
    """Name the copy of a run, a feedback or an example in another place.

    Args:
        destination: the experiment or dataset there, whose id differs from place to place.
        source: the original's id.
    """
    return uuid5(destination, f"evalrunner push:{source}")
