"""The shared experiment: made once, described once, and written by nobody else.

What the plan covered (splits, limit, repetitions) stands in the experiment's metadata under `evalrunner`, so
that the bare command, run again anywhere, means the same plan.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from langsmith import Client
from langsmith.utils import LangSmithConflictError, LangSmithNotFoundError

from evalrunner import __version__
from evalrunner.config import RunConfig
from evalrunner.errors import ServiceError
from evalrunner.service import client as service
from evalrunner.supervisor.setup.dataset import Reading
from evalrunner.supervisor.setup.owner import CLAIM
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify.intent import FACTS, FOUND, texts, version_of
from evalrunner.verify.meant import positive

_OURS = (FACTS, CLAIM, "num_repetitions", "dataset_version", "dataset_splits")


Keys = dict[str, list[str]]
"""Evaluator's name -> feedback keys."""


@dataclass(frozen=True)
class Judges:
    """What a run knows of its evaluators.

    Attributes:
        guessed: keys that their source lets expect.
        given: keys that they gave.
        ran: those that have run, without an error, on every run of the plan that began before `until`.
    """

    guessed: Keys = field(default_factory=dict)
    given: Keys = field(default_factory=dict)
    ran: tuple[str, ...] = ()
    until: str = ""


def describe(scope: Scope, reading: Reading, judges: Judges) -> dict[str, Any]:
    """Return the experiment's metadata: what was there, the version over the whole dataset, our facts."""
    # Beside runs that something else has made, what it wrote stands too: the view shows no other examples.
    known = scope.metadata if isinstance(scope.metadata.get(FACTS), dict) or reading.beside else {}
    versions = (version_of(known), reading.version)
    # A run over a part of an experiment does not make the experiment smaller: what its creation said stands.
    facts = known.get(FACTS) or {
        "version": __version__,
        "splits": _splits(scope, reading),
        "limit": scope.limit if scope.session is None else None,
        "examples": len(reading.ids),
        **_found(scope, reading),
    }
    repetitions = max(scope.repetitions, positive(scope.metadata.get("num_repetitions")) or 1)
    return {
        **scope.metadata,
        "num_repetitions": repetitions,
        "dataset_version": max(filter(None, versions), default=None),
        "dataset_splits": sorted({*texts(known.get("dataset_splits")), *reading.splits}),
        FACTS: {**facts, **evaluator_facts(facts, judges)},
    }


def _found(scope: Scope, reading: Reading) -> dict[str, Any]:
    """Return what the next run shall find as this one did, where something else had filled the experiment.

    What we write over it (`dataset_splits`, and runs that begin later) would tell it otherwise.
    """
    until = reading.meant.until if reading.meant is not None else reading.until
    if scope.told is None or not until:
        return {}
    return {FOUND: {"until": until, "splits": list(scope.told.splits)}}


def _splits(scope: Scope, reading: Reading) -> list[str]:
    """Return the splits that the experiment is about; none for all of them."""
    if scope.session is None:
        return list(scope.splits)
    return list(reading.meant.splits) if reading.meant is not None else []


def evaluator_facts(facts: dict[str, Any], judges: Judges) -> dict[str, Any]:
    """Return what the experiment says of its evaluators.

    `evaluators` has the keys that each has given, `guessed` those that its source lets expect, `evaluator_keys` all
    of them together, a guess only where nothing was given; `ran` says up to when every run had had its turn.
    """
    given, guessed = _lists(facts.get("evaluators")), {**_lists(facts.get("guessed")), **judges.guessed}
    named = {
        name: sorted({*given.get(name, ()), *judges.given.get(name, ())})
        for name in dict.fromkeys((*given, *judges.given))
    }
    # Without names (an earlier evalrunner wrote it) nobody can say whose the keys are.
    unnamed = () if "evaluators" in facts else facts.get("evaluator_keys") or ()
    keys = {key for name in (*guessed, *named) for key in named.get(name) or guessed.get(name) or ()}
    ran = {**_object(facts.get("ran")), **dict.fromkeys(judges.ran, judges.until)}
    return {
        "evaluators": named,
        "guessed": guessed,
        "evaluator_keys": sorted({*unnamed, *keys}),
        **({"ran": ran} if ran else {}),
    }


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _lists(value: Any) -> dict[str, list[str]]:
    return {name: keys for name, keys in _object(value).items() if isinstance(keys, list)}


def flags_for(url: str, config: RunConfig) -> str | None:
    """Return what goes on with the experiment in the folder of this run, for the local backend's pages.

    They name paths of this machine, which is nobody else's to see.
    """
    if config.said is None or urlsplit(url).hostname not in service.LOOPBACK:
        return None
    return " ".join(config.said.shareable)


def create(
    client: Client, config: RunConfig, scope: Scope, reading: Reading, guessed: Keys, claim: dict[str, Any]
) -> Scope:
    """Make the experiment, with what the service's own progress bar needs; return the scope with it.

    Args:
        claim: who runs it, as it stands in the metadata.

    The id is ours (the SDK too sends one, client.py:5116), because the run's folder is called after it.

    Raises:
        ServiceError: there is another one of this name since we looked.
    """
    metadata = {**describe(scope, reading, Judges(guessed)), **claim}
    if (flags := flags_for(client.api_url, config)) is not None:
        metadata[FACTS]["flags"] = flags
    body = {
        "id": str(scope.experiment_id),
        "name": scope.name,
        "description": config.description,
        "start_time": scope.epoch.isoformat(),
        "reference_dataset_id": str(scope.dataset_id),
        "extra": {"metadata": metadata},
        "num_examples": len(reading.ids),
        "num_repetitions": scope.repetitions,
        "evaluator_keys": list(dict.fromkeys(key for of in guessed.values() for key in of)) or None,
    }
    # A conflict about an id that only we know means that the answer to an earlier try was lost; about a name that the
    # user gave, that there is another one.
    taken = True
    with contextlib.suppress(LangSmithConflictError):
        client.request_with_retries(
            "POST",
            "/sessions",
            request_kwargs={"json": {key: value for key, value in body.items() if value is not None}},
            stop_after_attempt=3,
        )
        taken = False
    try:
        session = client.read_project(project_id=scope.experiment_id)
    except LangSmithNotFoundError as error:
        told = f"something else has made an experiment {scope.name!r} at this moment"
        raise (ServiceError(f"{told}; the same command goes on with it") if taken else error) from None
    # The service may have set a start of its own; ids must be made of what reads back.
    return replace(scope, session=session, epoch=service.began(session))


def resumable(scope: Scope, config: RunConfig) -> dict[str, Any]:
    """Return what `evalrunner resume` has to know, which knows no more than this folder."""
    spec = config.spec
    return {
        "experiment": scope.name,
        "id": str(scope.experiment_id),
        "folder": str(spec.folder),
        "target": spec.target,
        "factory": spec.factory,
        "evaluators": spec.evaluators,
        "summary_evaluators": spec.summary_evaluators,
    }


def _asked(scope: Scope) -> dict[str, Any]:
    return {key: value for key, value in scope.metadata.items() if key not in _OURS}


def write_facts(client: Client, scope: Scope, reading: Reading, judges: Judges) -> None:
    """Write the metadata once, over the whole dataset, if it does not stand there yet."""
    current = client.read_project(project_id=scope.experiment_id)
    # What stands there says what its creation meant; what this run asked for besides comes on top.
    standing = replace(scope, metadata={**(current.metadata or {}), **_asked(scope)})
    wanted = describe(standing, reading, judges)
    merged = {**(current.metadata or {}), **wanted}
    if merged != (current.metadata or {}):
        client.update_project(scope.experiment_id, metadata=merged)
